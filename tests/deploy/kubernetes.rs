//! The manifests for Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{read, root, run, tool};

/// The newest version of Kubernetes they are checked against, and the oldest.
const VERSIONS: [&str; 2] = ["1.37", "1.28"];

/// The overlay, built by kustomize, in a file.
fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    run(Command::new("cp").arg("-r").arg(root().join("deploy/kubernetes")).arg(&folder));
    let overlay = folder.join("kubernetes/overlays/production");
    // Debian 12 has a kubectl of 2021, which knows folders by this name only.
    let file = overlay.join("kustomization.yaml");
    let text = fs::read_to_string(&file).expect("a file");
    assert_eq!(text.matches("  - ../../base\n").count(), 1, "{text}");
    fs::write(&file, text.replace("  - ../../base\n", "") + "bases: [../../base]\n").expect("a file");
    let all = run(Command::new(tool("kubectl")).arg("kustomize").arg(overlay));
    let file = folder.join("all.yaml");
    fs::write(&file, all).expect("a file");
    file
}

#[test]
fn manifests_are_what_kubernetes_knows() {
    let file = built("kubernetes");
    for version in VERSIONS {
        run(Command::new(tool("kubernetes-validate")).args(["--strict", "-k", version]).arg(&file));
    }
    let text = fs::read_to_string(&file).expect("a file");
    for kind in
        ["Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service", "ServiceAccount", "ConfigMap"]
    {
        assert!(text.contains(&format!("\nkind: {kind}\n")), "no {kind} in {text}");
    }
    assert!(
        text.contains("replicas: 2") && text.contains("image: registry.example.com/stocktake:0.1.0"),
        "{text}"
    );
}

#[test]
fn what_is_unknown_is_refused() {
    let file = built("kubernetes-wrong");
    let text = fs::read_to_string(&file).expect("a file");
    let wrong = file.with_file_name("wrong.yaml");
    fs::write(&wrong, text.replace("periodSeconds: 10", "everySeconds: 10")).expect("a file");
    let done =
        Command::new(tool("kubernetes-validate")).arg("--strict").arg(wrong).output().expect("it runs");
    assert!(!done.status.success(), "the schema does not hold anything back");
}

#[test]
fn the_configuration_of_the_overlay_is_one() {
    let file = root().join("deploy/kubernetes/overlays/production/stocktake.toml");
    let done = Command::new(env!("CARGO_BIN_EXE_stocktake"))
        .arg("--config")
        .arg(file)
        .args(["policy", "--bucket", "genomics"])
        .env("STOCKTAKE_DATABASE__URL", "postgres://localhost/stocktake")
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let deployment = read("deploy/kubernetes/base/deployment.yaml");
    assert!(deployment.contains("--config, /etc/stocktake/stocktake.toml, serve"));
}
