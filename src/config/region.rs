//! Regions, and the names that a platform's projects have for them.

/// The names that may stand in `project_region`, and the regions they mean.
pub const PROJECT_REGIONS: [(&str, &str); 12] = [
    ("Australia", "ap-southeast-2"),
    ("Canada", "ca-central-1"),
    ("Germany", "eu-central-1"),
    ("India", "ap-south-1"),
    ("Indonesia", "ap-southeast-3"),
    ("Israel", "il-central-1"),
    ("Japan", "ap-northeast-1"),
    ("Singapore", "ap-southeast-1"),
    ("South Korea", "ap-northeast-2"),
    ("UK", "eu-west-2"),
    ("United Arab Emirates", "me-central-1"),
    ("United States", "us-east-1"),
];

/// The region that a project's name for it means; a region's code means itself.
pub fn of_project(name: &str) -> Option<String> {
    let name = name.trim();
    let known = PROJECT_REGIONS.iter().find(|(project, _)| project.eq_ignore_ascii_case(name));
    match known {
        Some((_, region)) => Some((*region).to_owned()),
        None => Some(name.to_ascii_lowercase()).filter(|code| is_code(code)),
    }
}

/// Whether this has the form of a region's code: `eu-central-1`, `us-gov-west-1`.
///
/// The form only, since AWS opens regions faster than programs are released.
pub(super) fn is_code(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let word = |part: &&str| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [words @ .., number] if words.len() >= 2 => {
            words.iter().all(word) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_have_names_or_codes() {
        let check = |name, region: Option<&str>| assert_eq!(of_project(name).as_deref(), region, "{name}");
        for (project, region) in [
            ("Australia", "ap-southeast-2"),
            ("Canada", "ca-central-1"),
            ("Germany", "eu-central-1"),
            ("India", "ap-south-1"),
            ("Indonesia", "ap-southeast-3"),
            ("Israel", "il-central-1"),
            ("Japan", "ap-northeast-1"),
            ("Singapore", "ap-southeast-1"),
            ("South Korea", "ap-northeast-2"),
            ("UK", "eu-west-2"),
            ("United Arab Emirates", "me-central-1"),
            ("United States", "us-east-1"),
        ] {
            check(project, Some(region));
            check(region, Some(region));
        }
        check("south korea", Some("ap-northeast-2"));
        check(" UNITED STATES ", Some("us-east-1"));
        check("EU-West-2", Some("eu-west-2"));
        check("us-gov-west-1", Some("us-gov-west-1"));
        check("Atlantis", None);
        check("eu-central", None);
        check("eu-1", None);
        check("", None);
        assert!(PROJECT_REGIONS.iter().all(|(_, region)| is_code(region)));
    }
}
