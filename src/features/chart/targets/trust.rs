//! Whose certificates count, and what we show: the same for FHIR servers and HL7 v2 interfaces.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Settings of a connection. The sentence of an error names what is wrong with which setting.
pub(super) fn client(ca_file: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|_| "TLS cannot be set up.".to_owned())?
        .with_root_certificates(roots(ca_file)?);
    let Some((certificate, key)) = own else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| "key cannot be read.".to_owned())?;
    let chain = chain(certificate).ok_or_else(|| "certificate cannot be read.".to_owned())?;
    builder.with_client_auth_cert(chain, key).map_err(|_| "certificate and key do not belong together.".to_owned())
}

fn chain(path: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path).ok()?.collect::<Result<_, _>>().ok()?;
    Some(chain).filter(|chain| !chain.is_empty())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let wrong = || "ca_file cannot be read.".to_owned();
            for certificate in chain(path).ok_or_else(wrong)? {
                roots.add(certificate).map_err(|_| wrong())?;
            }
        }
        None => {
            // One that is broken says nothing of the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// What TLS has against a receiver, anywhere in the causes of an error; none where it is another error.
pub(super) fn refused(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(match tls {
            rustls::Error::InvalidCertificate(reason) => {
                format!("The certificate of the receiver is not taken: {reason:?}.")
            }
            _ => "TLS was not agreed on with the receiver.".to_owned(),
        });
    }
    // What an input/output error wraps is not among its sources.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(wrapped) => refused(wrapped),
        None => refused(error.source()?),
    }
}
