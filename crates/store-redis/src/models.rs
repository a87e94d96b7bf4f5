//! Models and their parts. The registry is one value with a number: a change is computed here, and written if the number and the
//! training lease are still the same. A part is stored in chunks and its size last; without a size the part does not exist.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::notifier::{ChannelId, Topic};
use super::partition::{read_token, token_text};
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use bytes::{Bytes, BytesMut};
use portrait_store::{Error, LeaseToken, PartName, Registry, RegistryChange, RegistryNo, Result};
use std::time::Duration;

/// Size of a chunk in bytes: small, so that no request blocks the server for long.
const CHUNK_BYTES: usize = 256 << 10;
/// Number of chunks in one read.
const CHUNKS_PER_REQUEST: usize = 4;
/// Set with the names of all parts.
const PART_NAMES: &str = "parts";
/// Field with the size of a part.
const SIZE: &[u8] = b"size";

impl RedisStore {
    /// Returns the registry; waits up to `wait` for a number above `after`.
    pub(super) async fn wait_for_registry(
        &self,
        after: Option<RegistryNo>,
        wait: Duration,
    ) -> Result<Registry> {
        let channel = ChannelId::models(usize::from(self.layout.partitions.get()));
        let mut waiting = self.notifier.wait(channel, Topic::Models, wait);
        loop {
            let (registry, _) = self.read_registry().await?;
            if after.is_none_or(|after| registry.registry_no > after) || !waiting.changed_or_timeout().await {
                return Ok(registry);
            }
        }
    }

    async fn read_registry(&self) -> Result<(Registry, Option<LeaseToken>)> {
        let tagged = self.keys.models();
        let found = self.fields(tagged.slot, &tagged.key("registry"), [&b"registry"[..], b"token"]).await?;
        let [registry, token] =
            <[Option<Bytes>; 2]>::try_from(found).map_err(|_| UnexpectedReply("HMGET"))?;
        let registry = match registry {
            Some(bytes) => postcard::from_bytes(&bytes)
                .map_err(|error| Error::Damaged { detail: format!("the registry of models: {error}") })?,
            None => Registry::default(),
        };
        let token = token.map(|token| read_token(&String::from_utf8_lossy(&token))).transpose()?;
        Ok((registry, token))
    }

    /// Applies everything in `change`, or nothing.
    pub(super) async fn do_change_registry(&self, change: RegistryChange) -> Result<RegistryNo> {
        let (registry, trainer) = self.read_registry().await?;
        let next = registry.changed(&change, |token| trainer == Some(token))?;
        let bytes = postcard::to_stdvec(&next).map_err(Error::unavailable)?;
        let tagged = self.keys.models();
        let parts = change.forget_parts.iter().map(|name| tagged.part(*name));
        let keys = std::iter::once(tagged.key("registry")).chain(parts).collect();
        let trainer = change.trainer.map(token_text).unwrap_or_default();
        // Only a new model needs memory: activating and removing must work on a full server.
        let script = if change.publish.is_some() { &scripts::PUBLISH } else { &scripts::REGISTRY };
        let call = ScriptCall::new(script, keys)
            .number(change.expected)
            .number(next.registry_no)
            .arg(trainer)
            .arg(bytes)
            .arg(tagged.channel());
        let reply =
            self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::of(self.level)).await?;
        let mut reply = ReplyFields::of(reply, "a change of the models")?;
        match reply.text()?.as_str() {
            "done" => {
                self.forget_names(&change.forget_parts).await?;
                Ok(next.registry_no)
            }
            "moved" => {
                let current = RegistryNo::new(reply.number()?);
                Err(Error::RegistryMoved { expected: change.expected, current })
            }
            "fenced" => Err(Error::TrainerFenced),
            _ => Err(UnexpectedReply("a change of the models").into()),
        }
    }

    /// Stores a part under its name.
    pub(super) async fn write_part(&self, part: &Bytes) -> Result<PartName> {
        let name = PartName::of(part);
        let key = self.keys.models().part(name);
        let size = part.len().to_string();
        let stored = self.fields(self.keys.models().slot, &key, [SIZE]).await?;
        if stored.first().and_then(Option::as_ref).is_none_or(|stored| stored[..] != *size.as_bytes()) {
            // The name first: a part that is interrupted below must be found to be removed.
            self.write_name("SADD", &[name]).await?;
            // A part with its size is complete and never changes, since its name is the hash of its bytes.
            for (number, chunk) in part.chunks(CHUNK_BYTES).enumerate() {
                self.write_field(&key, number.to_string().as_bytes(), chunk).await?;
            }
        }
        // Written even if the part exists: the acknowledgement of this write proves that the replicas have the part.
        self.write_field(&key, SIZE, size.as_bytes()).await?;
        Ok(name)
    }

    /// Returns the names of all parts whose write has begun.
    pub(super) async fn read_part_names(&self) -> Result<Vec<PartName>> {
        let tagged = self.keys.models();
        let mut command = redis::cmd("SMEMBERS");
        command.arg(&tagged.key(PART_NAMES)[..]);
        let reply = self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Read).await?;
        let mut names = Vec::new();
        for value in super::reply::list(reply, "SMEMBERS")? {
            let bits = super::reply::text(&value).and_then(|text| u128::from_str_radix(text, 16).ok());
            names.push(PartName::new(bits.ok_or(UnexpectedReply("SMEMBERS"))?));
        }
        Ok(names)
    }

    /// Removes names of parts that were removed. After the parts: a name without a part is removed by the next cleanup, a part without
    /// a name by none.
    async fn forget_names(&self, names: &[PartName]) -> Result<()> {
        if names.is_empty() { Ok(()) } else { self.write_name("SREM", names).await }
    }

    async fn write_name(&self, command: &str, names: &[PartName]) -> Result<()> {
        let tagged = self.keys.models();
        let mut command = redis::cmd(command);
        command.arg(&tagged.key(PART_NAMES)[..]);
        for name in names {
            command.arg(format!("{:032x}", name.get()));
        }
        let concern = WriteConcern::of(self.level);
        self.cluster.request(tagged.slot, &Request::Command(command), concern).await.map(|_| ())
    }

    async fn write_field(&self, key: &Bytes, field: &[u8], value: &[u8]) -> Result<()> {
        let mut command = redis::cmd("HSET");
        command.arg(&key[..]).arg(field).arg(value);
        let slot = self.keys.models().slot;
        self.cluster.request(slot, &Request::Command(command), WriteConcern::of(self.level)).await.map(|_| ())
    }

    /// Returns the part named `name`, if it exists.
    pub(super) async fn read_part(&self, name: PartName) -> Result<Option<Bytes>> {
        let tagged = self.keys.models();
        let key = tagged.part(name);
        let found = self.fields(tagged.slot, &key, [SIZE]).await?;
        let Some(size) = found.into_iter().next().flatten() else { return Ok(None) };
        let size: usize = std::str::from_utf8(&size).ok().and_then(|size| size.parse().ok()).unwrap_or(0);
        let numbers: Vec<String> = (0..size.div_ceil(CHUNK_BYTES)).map(|number| number.to_string()).collect();
        let mut part = BytesMut::with_capacity(size.min(self.limits.part_bytes));
        for numbers in numbers.chunks(CHUNKS_PER_REQUEST) {
            let chunks = self.fields(tagged.slot, &key, numbers.iter().map(String::as_bytes)).await?;
            for chunk in chunks {
                // The part was removed during the read.
                let Some(chunk) = chunk else { return Ok(None) };
                part.extend_from_slice(&chunk);
            }
        }
        let part = part.freeze();
        // Chunks of different requests could be mixed by a fail-over; the hash detects it.
        if PartName::of(&part) != name {
            return Err(Error::Damaged { detail: format!("part {:032x} of a model", name.get()) });
        }
        Ok(Some(part))
    }

    /// Returns fields of a hash, in their order.
    pub(super) async fn fields<'f>(
        &self,
        slot: super::keys::Slot,
        key: &Bytes,
        fields: impl IntoIterator<Item = &'f [u8]> + Send,
    ) -> Result<Vec<Option<Bytes>>> {
        let mut command = redis::cmd("HMGET");
        command.arg(&key[..]);
        fields.into_iter().for_each(|field| {
            command.arg(field);
        });
        let reply = self.cluster.request(slot, &Request::Command(command), WriteConcern::Read).await?;
        let values = super::reply::list(reply, "HMGET")?;
        let values: Result<Vec<_>, UnexpectedReply> =
            values.into_iter().map(|value| super::reply::bytes(value, "HMGET")).collect();
        Ok(values?)
    }
}
