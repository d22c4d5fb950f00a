//! TLS towards servers.

use crate::config::snapshot::ClientTls;
use crate::config::value::Section;

/// The options of the section `name`, which stands in `section`; nothing where TLS is not enabled.
pub(super) fn tls(options: &Section, section: &str, name: &str) -> Option<ClientTls> {
    let tls = options.section(name);
    let text = |name: &str| Box::from(tls.text(name));
    let read = ClientTls {
        option: format!("{section}.{name}"),
        cert_pem: text("cert_pem"),
        key_pem: text("key_pem"),
        server_ca_pem: text("server_ca_pem"),
        client_ca_pem: text("client_ca_pem"),
        skips_verification: tls.bool("insecure_skip_verify"),
        server_name: text("server_name"),
    };
    tls.bool("enabled").then_some(read)
}
