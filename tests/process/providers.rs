//! Credentials as people have them: from a program, a token, a container, a login.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Config, Front, LIST, Stage, Told};

/// A stage whose only credentials are those of `more`, and a bucket with a key.
struct Place {
    stage: Stage,
    front: Front,
    config: Config,
    bucket: String,
}

impl Place {
    async fn new() -> Self {
        let mut stage = Stage::new().await;
        let bucket = stage.name("provided");
        stage.bucket(&bucket, Some(Enabled)).await;
        stage.put(&bucket, "key", "body").await;
        let front = Front::of(&stage.endpoint).await;
        let config = Config { endpoint: front.url.clone(), ..stage.config() }.place(&bucket);
        let migrated = stage.run(&config, &["migrate"]).await;
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        // No keys in the environment, and no instance to be asked.
        stage.credentials_file = Some(stage.folder.join("no-credentials").display().to_string());
        stage.more.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
        stage.more.push(("HOME", stage.folder.display().to_string()));
        stage.more.push(("AWS_ENDPOINT_URL", front.url.clone()));
        Self { stage, front, config, bucket }
    }

    /// Sets a variable of the environment.
    fn set(&mut self, name: &'static str, value: &str) {
        self.stage.more.push((name, value.to_owned()));
    }

    /// The profile of the environment.
    fn profile(&mut self, text: &str) {
        let file = self.stage.folder.join("config");
        std::fs::write(&file, format!("[default]\nregion = eu-central-1\n{text}\n")).unwrap();
        let file = file.display().to_string();
        self.set("AWS_CONFIG_FILE", &file);
    }

    async fn reconcile(&self) -> Told {
        self.stage.run(&self.config, &["reconcile", "--bucket", &self.bucket]).await
    }

    async fn must_list_with(&self, token: &str) {
        let told = self.reconcile().await;
        assert_eq!(told.code, Some(0), "{told:?}");
        assert!(self.front.came_with(LIST, token), "nobody listed with {token:?}");
        assert_eq!(self.stage.count("select count(*) from catalog.objects").await, 1);
    }

    async fn must_fail_with(&self, parts: &[&str]) {
        let told = self.reconcile().await;
        assert_eq!(told.code, Some(1), "{told:?}");
        let said = format!("{}{}", told.stdout, told.stderr);
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {told:?}");
        }
    }
}

fn keys(account: &str, token: &str) -> Value {
    serde_json::json!({
        "Version": 1, "AccessKeyId": account, "SecretAccessKey": "secret", "SessionToken": token,
        "Token": token, "Expiration": "2099-01-01T00:00:00Z",
    })
}

#[tokio::test]
async fn a_program_provides_credentials() {
    let mut place = Place::new().await;
    let (script, answer) = (place.stage.folder.join("provide"), place.stage.folder.join("answer"));
    std::fs::write(&script, format!("cat {}\n", answer.display())).unwrap();
    place.profile(&format!("credential_process = sh {}", script.display()));
    place.must_fail_with(&["external process exited", "credential_process"]).await;
    std::fs::write(&answer, keys(&place.stage.account, "of-a-program").to_string()).unwrap();
    place.must_list_with("of-a-program").await;
}

#[tokio::test]
async fn a_token_of_a_web_identity_is_taken_or_named() {
    let mut place = Place::new().await;
    let file = place.stage.folder.join("token").display().to_string();
    place.set("AWS_WEB_IDENTITY_TOKEN_FILE", &file);
    let role = format!("arn:aws:iam::{}:role/reader", place.stage.account);
    place.set("AWS_ROLE_ARN", &role);
    place.must_fail_with(&[&file, "failed to read the web identity token file", "service account"]).await;
    std::fs::write(&file, "a.token.x").unwrap();
    let told = place.reconcile().await;
    assert!(place.front.came("AssumeRoleWithWebIdentity") > 0, "STS was not asked: {told:?}");
}

#[tokio::test]
async fn a_profiles_token_file_that_is_missing_is_named() {
    let mut place = Place::new().await;
    place.profile("role_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = /nowhere/token");
    place.must_fail_with(&["/nowhere/token", "service account"]).await;
}

#[tokio::test]
async fn a_container_provides_credentials() {
    let mut place = Place::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let body = keys(&place.stage.account, "of-a-container").to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if client.read_buf(&mut request).await.unwrap() == 0 {
                        return;
                    }
                }
                let length = body.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
                client.write_all((head + &body).as_bytes()).await.unwrap();
            });
        }
    });
    place.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url);
    place.must_list_with("of-a-container").await;
}

#[tokio::test]
async fn a_login_that_is_missing_is_asked_for() {
    let mut place = Place::new().await;
    place.profile(
        "sso_session = work\nsso_account_id = 123456789012\nsso_role_name = reader\n\
         [sso-session work]\nsso_region = eu-central-1\nsso_start_url = https://example.com/start",
    );
    place.must_fail_with(&["aws sso login", "cached SSO token"]).await;
    place.profile(
        "sso_start_url = https://example.com/start\nsso_region = eu-central-1\nsso_account_id = 123456789012\n\
         sso_role_name = reader",
    );
    place.must_fail_with(&["aws sso login"]).await;
}
