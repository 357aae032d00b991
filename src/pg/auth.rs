//! Startup and authentication of a data connection: trust, password, md5, SCRAM-SHA-256 with and without binding.

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding as Binding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use super::connect::{ChannelBinding, Link, Secret, Server};
use super::fault::Failure;
use super::stream::Stream;
use super::wire::input::{Input, server_error};

/// What a request to cancel needs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CancelKey {
    pub process_id: i32,
    pub secret_key: i32,
}

/// What the server tells about a session as it begins.
pub(super) struct Welcome {
    pub key: CancelKey,
    pub server_encoding: String,
}

const OK: i32 = 0;
const CLEARTEXT: i32 = 3;
const MD5: i32 = 5;
const SASL: i32 = 10;
const SASL_CONTINUE: i32 = 11;
const SASL_FINAL: i32 = 12;

/// Logs in and waits until the server is ready for a query.
pub(super) async fn log_in(
    server: &Server,
    link: &Link,
    stream: &mut Stream,
    input: &mut Input,
) -> Result<Welcome, Failure> {
    let mut out = BytesMut::new();
    let mut parameters = vec![
        ("user", server.user.as_str()),
        ("database", server.database.as_str()),
        ("application_name", server.application_name.as_str()),
        ("client_encoding", "UTF8"),
    ];
    if let Some(options) = &server.options {
        parameters.push(("options", options));
    }
    frontend::startup_message(parameters, &mut out)?;
    let mut exchange = Exchange { server, link, stream, input };
    exchange.send(&out).await?;
    exchange.authenticate().await?;
    exchange.until_ready().await
}

struct Exchange<'a> {
    server: &'a Server,
    link: &'a Link,
    stream: &'a mut Stream,
    input: &'a mut Input,
}

impl Exchange<'_> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    async fn authenticate(&mut self) -> Result<(), Failure> {
        let (code, data) = self.challenge().await?;
        match code {
            OK => self.may_go_unbound(),
            CLEARTEXT => {
                self.may_go_unbound()?;
                let password = self.password()?.clone();
                self.send_password(password.reveal().as_bytes()).await
            }
            MD5 => {
                self.may_go_unbound()?;
                let salt = data.try_into().map_err(|_| Failure::protocol("an md5 salt that has not 4 bytes"))?;
                let hash = md5_hash(self.server.user.as_bytes(), self.password()?.reveal().as_bytes(), salt);
                self.send_password(hash.as_bytes()).await
            }
            SASL => self.scram(&data).await,
            other => Err(Failure::Login {
                why: format!("the server asks for an authentication method that is not supported (number {other})"),
                hint: Some("scram-sha-256, md5, password, peer, cert and trust are; GSSAPI and SSPI are not".into()),
            }),
        }
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<(), Failure> {
        let mut out = BytesMut::new();
        frontend::password_message(password, &mut out)?;
        self.send(&out).await?;
        self.expect(OK).await.map(drop)
    }

    async fn scram(&mut self, mechanisms: &[u8]) -> Result<(), Failure> {
        let (mut plain, mut plus) = (false, false);
        for name in mechanisms.split(|byte| *byte == 0) {
            plain |= name == SCRAM_SHA_256.as_bytes();
            plus |= name == SCRAM_SHA_256_PLUS.as_bytes();
        }
        let wanted = self.server.channel_binding != ChannelBinding::Disable;
        let end_point = self.stream.end_point().filter(|_| wanted).map(<[u8]>::to_vec);
        let (mechanism, binding) = match end_point {
            Some(hash) if plus => (SCRAM_SHA_256_PLUS, Binding::tls_server_end_point(hash)),
            // "We could have bound": the server notices if somebody in between hid that it can, too.
            Some(_) if plain => (SCRAM_SHA_256, Binding::unrequested()),
            None if plain => (SCRAM_SHA_256, Binding::unsupported()),
            _ => return Err(Failure::protocol("no SASL mechanism that we know")),
        };
        if mechanism == SCRAM_SHA_256 {
            self.may_go_unbound()?;
        }
        let mut scram = ScramSha256::new(self.password()?.reveal().as_bytes(), binding);
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(mechanism, scram.message(), &mut out)?;
        self.send(&out).await?;
        let challenge = self.expect(SASL_CONTINUE).await?;
        scram.update(&challenge).map_err(|cause| Failure::protocol(format!("SCRAM: {cause}")))?;
        out.clear();
        frontend::sasl_response(scram.message(), &mut out)?;
        self.send(&out).await?;
        let proof = self.expect(SASL_FINAL).await?;
        scram.finish(&proof).map_err(|cause| Failure::Login {
            why: format!("the server could not prove that it knows the password: {cause}"),
            hint: Some("is this the right server? somebody may stand between".into()),
        })?;
        self.expect(OK).await.map(drop)
    }

    fn may_go_unbound(&self) -> Result<(), Failure> {
        if self.server.channel_binding != ChannelBinding::Require {
            return Ok(());
        }
        Err(Failure::Login {
            why: "channel_binding=require, but the login does not bind to the TLS session".into(),
            hint: Some("it needs TLS and a password stored as scram-sha-256".into()),
        })
    }

    fn password(&self) -> Result<&Secret, Failure> {
        self.link.password.as_ref().ok_or_else(|| self.link.no_password())
    }

    async fn expect(&mut self, wanted: i32) -> Result<Vec<u8>, Failure> {
        match self.challenge().await? {
            (code, data) if code == wanted => Ok(data),
            (code, _) => Err(Failure::protocol(format!("authentication step {code}, expected {wanted}"))),
        }
    }

    async fn challenge(&mut self) -> Result<(i32, Vec<u8>), Failure> {
        loop {
            let (tag, body) = self.input.message(self.stream).await?;
            match (tag, body.split_first_chunk::<4>()) {
                (b'R', Some((code, data))) => return Ok((i32::from_be_bytes(*code), data.to_vec())),
                (b'E', _) => return Err(Failure::Server(Box::new(server_error(body)))),
                (b'N', _) => {}
                _ => return Err(unexpected(tag, "during authentication")),
            }
        }
    }

    async fn until_ready(&mut self) -> Result<Welcome, Failure> {
        let mut key = CancelKey::default();
        let mut server_encoding = String::new();
        loop {
            let (tag, body) = self.input.message(self.stream).await?;
            match tag {
                b'K' => {
                    let [a, b, c, d, e, f, g, h] =
                        body.try_into().map_err(|_| Failure::protocol("a cancel key that has not 8 bytes"))?;
                    key.process_id = i32::from_be_bytes([a, b, c, d]);
                    key.secret_key = i32::from_be_bytes([e, f, g, h]);
                }
                b'S' => {
                    if let Some(name) = body.strip_prefix(b"server_encoding\0") {
                        server_encoding = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
                    }
                }
                b'N' => {}
                b'Z' => return Ok(Welcome { key, server_encoding }),
                b'E' => return Err(Failure::Server(Box::new(server_error(body)))),
                _ => return Err(unexpected(tag, "before the session was ready")),
            }
        }
    }
}

pub(super) fn unexpected(tag: u8, when: &str) -> Failure {
    Failure::protocol(format!("message `{}` {when}", tag.escape_ascii()))
}
