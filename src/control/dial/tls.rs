//! TLS towards servers: whom we trust and who we say we are (upstream: internal/configtypes/tls.go, pem.go).

use std::fs;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::config::snapshot::ClientTls;

/// Makes the configuration of a client.
///
/// # Errors
/// What is wrong with which option, in a sentence.
pub fn config(options: &ClientTls) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let named = |name: &str| format!("{}.{name}", options.option);
    // Of no use to a client, but it must be right, as upstream.
    if !options.client_ca_pem.is_empty() {
        authorities(&options.client_ca_pem, &named("client_ca_pem"))?;
    }
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("{}: {error}", options.option))?;
    let verifier = verifier(options, provider, &named("server_ca_pem"))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    if options.cert_pem.is_empty() || options.key_pem.is_empty() {
        return Ok(Arc::new(builder.with_no_client_auth()));
    }
    let (cert, key) = (named("cert_pem"), named("key_pem"));
    let chain = certificates(&load(&options.cert_pem, &cert)?, &cert)?;
    let pem = load(&options.key_pem, &key)?;
    let private =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| format!("{key}: holds no private key that can be read"))?;
    let config = builder.with_client_auth_cert(chain, private);
    config.map(Arc::new).map_err(|error| format!("{key}: does not go with {cert}: {error}"))
}

fn verifier(
    options: &ClientTls,
    provider: Arc<CryptoProvider>,
    option: &str,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let own = match &*options.server_ca_pem {
        "" => None,
        pem => Some(Arc::new(authorities(pem, option)?)),
    };
    if options.skips_verification {
        return Ok(Arc::new(Anyone(provider)));
    }
    let Some(roots) = own else {
        let verifier = Verifier::new(provider);
        return Ok(Arc::new(verifier.map_err(|error| {
            format!("{option}: none is given, and the system has no certificates to trust: {error}")
        })?));
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
    Ok(verifier.map_err(|error| format!("{option}: {error}"))?)
}

fn authorities(pem: &str, option: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(&load(pem, option)?, option)?);
    if added > 0 { Ok(roots) } else { Err(format!("{option}: holds no certificate that can be read")) }
}

fn certificates(pem: &[u8], option: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    if found.is_empty() { Err(format!("{option}: holds no certificate that can be read")) } else { Ok(found) }
}

/// PEM that is written in an option: as it is, in base64, or as the path of a file with it.
fn load(written: &str, option: &str) -> Result<Vec<u8>, String> {
    const MARK: &str = "-----BEGIN ";
    if written.contains(MARK) {
        return Ok(written.into());
    }
    let is_pem = |bytes: &[u8]| memchr::memmem::find(bytes, MARK.as_bytes()).is_some();
    if let Some(decoded) = STANDARD.decode(written).ok().filter(|decoded| is_pem(decoded)) {
        return Ok(decoded);
    }
    match fs::read(written) {
        Ok(bytes) if is_pem(&bytes) => Ok(bytes),
        Ok(_) => Err(format!("{option}: the file it names holds no PEM")),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENAMETOOLONG) => {
            Err(format!("{option}: must be PEM, PEM in base64, or the path of a file with PEM"))
        }
        Err(error) => Err(format!("{option}: the file it names cannot be read: {error}")),
    }
}

/// Takes any certificate (`insecure_skip_verify`). Signatures are checked all the same.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
