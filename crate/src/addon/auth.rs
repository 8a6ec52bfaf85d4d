//! The keys of sessions from JavaScript.

use std::sync::Arc;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::addon::errors::{Coded, coded};
use crate::protocol::bfd::authentication::key::{Key, Kind, Variant};

#[napi(object, object_to_js = false)]
pub struct NativeAuth {
    #[napi(js_name = "type")]
    pub kind: String,
    pub keys: Vec<NativeKey>,
}

#[napi(object, object_to_js = false)]
pub struct NativeKey {
    pub id: u8,
    pub secret: Uint8Array,
    pub variant: String,
}

impl NativeAuth {
    /// The keys, in their order. An error never contains a secret.
    pub(super) fn keys(self) -> Result<Arc<[Key]>, Coded> {
        let kind = kind_of(&self.kind)?;
        let key = |given: NativeKey| {
            let variant = variant_of(&given.variant)?;
            Key::new(given.id, kind, variant, &given.secret).map_err(|error| coded("ERR_CONFIG", error.to_string()))
        };
        self.keys.into_iter().map(key).collect()
    }
}

fn kind_of(name: &str) -> Result<Kind, Coded> {
    match name {
        "simple" => Ok(Kind::SimplePassword),
        "md5" => Ok(Kind::KeyedMd5),
        "meticulous-md5" => Ok(Kind::MeticulousKeyedMd5),
        "sha1" => Ok(Kind::KeyedSha1),
        "meticulous-sha1" => Ok(Kind::MeticulousKeyedSha1),
        other => Err(coded("ERR_CONFIG", format!("unknown authentication type `{other}`"))),
    }
}

fn variant_of(name: &str) -> Result<Variant, Coded> {
    match name {
        "rfc" => Ok(Variant::Rfc),
        "frr-hmac" => Ok(Variant::FrrHmac),
        other => Err(coded("ERR_CONFIG", format!("unknown variant of a key `{other}`"))),
    }
}
