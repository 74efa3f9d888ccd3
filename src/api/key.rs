//! The API key: 32 random bytes that are printed once; only their SHA-256 is kept.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Api, ApiError};
use crate::config::Secret;
use crate::store::{Store, StoreError};

/// The SHA-256 of the API key. A key has 256 random bits, so a plain hash cannot be searched.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    sha256: [u8; 32],
}

/// Where the key came from.
#[derive(Debug)]
pub enum KeyFound {
    /// `api_key` or `TANDEM_API_KEY` sets it.
    Configured(Key),
    /// It was made at an earlier start.
    Stored(Key),
    /// It was made now: print it, it cannot be shown again.
    Made(Key, Secret),
}

impl KeyFound {
    /// The key itself.
    pub fn key(&self) -> Key {
        match self {
            Self::Configured(key) | Self::Stored(key) | Self::Made(key, _) => *key,
        }
    }
}

impl Key {
    /// The key that is `text`.
    pub fn of(text: &str) -> Self {
        Self {
            sha256: Sha256::digest(text.as_bytes()).into(),
        }
    }

    /// The configured key, else the stored one, else a new one, whose hash is stored.
    ///
    /// # Errors
    /// Whatever the store says; [`ApiError::Unavailable`] if the system has no randomness.
    pub async fn find(
        configured: Option<&Secret>,
        store: &Store,
        now_ms: i64,
    ) -> Result<KeyFound, ApiError> {
        if let Some(secret) = configured {
            return Ok(KeyFound::Configured(Self::of(secret.reveal())));
        }
        let stored = store.api_key_hash().await?;
        if let Some(sha256) = stored.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            return Ok(KeyFound::Stored(Self { sha256 }));
        }
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|_| ApiError::Unavailable {
            what: "the system's randomness",
        })?;
        let text = URL_SAFE_NO_PAD.encode(random);
        let key = Self::of(&text);
        store_hash(store, &key, now_ms).await?;
        Ok(KeyFound::Made(key, Secret::new(text)))
    }

    /// Whether `text` is the key; takes the same time whatever differs.
    pub fn is(&self, text: &str) -> bool {
        Self::of(text).sha256.ct_eq(&self.sha256).into()
    }
}

async fn store_hash(store: &Store, key: &Key, now_ms: i64) -> Result<(), StoreError> {
    store.set_api_key_hash(&key.sha256, now_ms).await
}

/// Lets a request through only with the key.
pub(super) async fn require(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    match bearer(request.headers()) {
        Some(token) if api.key.is(token) => Ok(next.run(request).await),
        _ => Err(ApiError::Unauthorized),
    }
}

/// What a request shows as `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
