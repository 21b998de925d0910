//! TLS by rustls: who may sign, and whether the name must fit.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::options::{RootCertificates, configuration};

pub(super) type Connector = MakeRustlsConnect;

/// Why a handshake failed, as far as the caller can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Signed by nobody we trust.
    Authority,
    /// For another name.
    Name,
    /// Not yet, or no longer.
    Time,
    /// Anything else about the certificate.
    Certificate,
    /// The two sides have no version or cipher in common, or it is no TLS at all.
    Protocol,
}

/// A connector that checks the chain, and with `names` the host's name as well.
pub(super) fn checked(
    roots: Option<&RootCertificates>,
    names: bool,
) -> Result<Connector, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let roots = match roots {
        Some(RootCertificates::File(path)) => from_file(path)?,
        Some(RootCertificates::System) | None => from_system()?,
    };
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| {
            configuration("the root certificates cannot be used").with_source(error)
        })?;
    let verifier: Arc<dyn ServerCertVerifier> = if names {
        inner
    } else {
        Arc::new(AnyName(inner))
    };
    connector(provider, verifier)
}

/// A connector that takes any certificate.
pub(super) fn unchecked() -> Result<Connector, StoreError> {
    let provider = Arc::new(ring::default_provider());
    connector(Arc::clone(&provider), Arc::new(Anyone(provider)))
}

fn connector(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Connector, StoreError> {
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            StoreError::new(StoreErrorKind::Internal, "connect", "TLS cannot be set up")
                .with_source(error)
        })?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn from_file(path: &Path) -> Result<RootCertStore, StoreError> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| {
        configuration(format!(
            "the file of root certificates cannot be read; name it with sslrootcert=FILE: {shown}"
        ))
        .with_source(error)
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        if let Err(why) = added {
            return Err(configuration(format!(
                "the file of root certificates holds one that cannot be read; fetch it again ({why}): {shown}"
            )));
        }
    }
    if roots.is_empty() {
        return Err(configuration(format!(
            "the file of root certificates holds none; it is text with -----BEGIN CERTIFICATE----- in it: {shown}"
        )));
    }
    Ok(roots)
}

fn from_system() -> Result<RootCertStore, StoreError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a root certificate of the machine cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(configuration(
            "this machine has no root certificates to check the server's with; install ca-certificates, or name a \
             file with sslrootcert=FILE",
        ));
    }
    Ok(roots)
}

/// Why, where it was the handshake.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<Refusal> {
    // An I/O error hides what it was made of from `source()`.
    let error = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .or_else(|| error.downcast_ref())?;
    Some(match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => Refusal::Authority,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Refusal::Name
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Refusal::Time,
            _ => Refusal::Certificate,
        },
        _ => Refusal::Protocol,
    })
}

/// Checks the chain and leaves the name aside.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is checked last, when the chain has been found good.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes any certificate, but not a handshake that is none.
struct Anyone(Arc<CryptoProvider>);

impl fmt::Debug for Anyone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anyone")
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
