//! What the options of TLS name, and what is wrong with them.

use super::*;

/// Made for this test; of a key that nobody has any more.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIBfDCCASGgAwIBAgIUH1c=\n-----END CERTIFICATE-----\n";

fn options(change: impl FnOnce(&mut ClientTls)) -> ClientTls {
    let mut options = ClientTls::of_system("engine.redis.tls");
    change(&mut options);
    options
}

#[track_caller]
fn refused(change: impl FnOnce(&mut ClientTls), words: &str) {
    let error = config(&options(change)).unwrap_err();
    assert!(error.starts_with("engine.redis.tls.") && error.contains(words), "{error} says {words}");
}

#[test]
fn pem_is_text_or_base64_or_a_path() {
    let text = |written: &str| load(written, "x").map(|pem| String::from_utf8(pem).unwrap());
    assert_eq!(text(CERTIFICATE).as_deref(), Ok(CERTIFICATE));
    assert_eq!(text(&STANDARD.encode(CERTIFICATE)).as_deref(), Ok(CERTIFICATE));
    let path = std::env::temp_dir().join(format!("spindle-pem-{}", std::process::id()));
    fs::write(&path, CERTIFICATE).unwrap();
    assert_eq!(text(path.to_str().unwrap()).as_deref(), Ok(CERTIFICATE));
    fs::write(&path, "rubbish").unwrap();
    assert!(text(path.to_str().unwrap()).unwrap_err().contains("holds no PEM"));
    fs::remove_file(&path).unwrap();
    assert!(text(path.to_str().unwrap()).unwrap_err().contains("must be PEM, PEM in base64, or the path"));
    assert!(text(&"x".repeat(10_000)).unwrap_err().contains("must be PEM"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    refused(|options| options.server_ca_pem = "nope".into(), "server_ca_pem: must be PEM");
    refused(|options| options.server_ca_pem = key.into(), "server_ca_pem: holds no certificate");
    refused(|options| options.client_ca_pem = "nope".into(), "client_ca_pem: must be PEM");
    let pair = |cert: &'static str, key: &'static str| {
        move |options: &mut ClientTls| {
            (options.skips_verification, options.cert_pem, options.key_pem) = (true, cert.into(), key.into());
        }
    };
    refused(pair(CERTIFICATE, "nope"), "key_pem: must be PEM");
    refused(pair(CERTIFICATE, CERTIFICATE), "key_pem: holds no private key");
    refused(pair("nope", key), "cert_pem: must be PEM");
    // One alone does not count, as upstream.
    assert!(config(&options(|options| (options.skips_verification, options.cert_pem) = (true, "nope".into()))).is_ok());
}
