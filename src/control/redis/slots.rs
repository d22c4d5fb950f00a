//! Which member of a Redis Cluster has which slot (upstream: centrifuge redis_cluster_slot.go; the Cluster
//! specification of Redis).

use redis::{FromRedisValue, Value};

use crate::config::snapshot::RedisAddress;

/// Slots of a Cluster.
pub const SLOTS: usize = 16_384;

/// The slot of a key: of what is between the first braces if there is something, else of the whole key.
pub fn slot(key: &[u8]) -> usize {
    let tag = memchr::memchr(b'{', key).and_then(|open| {
        let behind = &key[open + 1..];
        memchr::memchr(b'}', behind).filter(|close| *close > 0).map(|close| &behind[..close])
    });
    usize::from(crc16(tag.unwrap_or(key))) % SLOTS
}

/// CRC-16 as XMODEM has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

/// Where each slot is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// The masters.
    pub masters: Vec<RedisAddress>,
    /// Replicas of each master, in the order of `masters`.
    replicas: Vec<Vec<RedisAddress>>,
    /// For each slot the number of its master; none = nobody has it.
    owners: Vec<Option<u16>>,
}

impl Map {
    /// Nobody has any slot.
    pub fn empty() -> Self {
        Self { masters: Vec::new(), replicas: Vec::new(), owners: vec![None; SLOTS] }
    }

    /// Reads the answer to `CLUSTER SLOTS` of the member at `asked`. None when it is none, or names nobody.
    pub fn read(answer: Value, asked: &RedisAddress) -> Option<Self> {
        let mut map = Self::empty();
        for range in Vec::<Vec<Value>>::from_redis_value(answer).ok()? {
            let mut parts = range.into_iter();
            let first = usize::from_redis_value(parts.next()?).ok()?;
            let last = usize::from_redis_value(parts.next()?).ok()?;
            let number = map.number(&address(parts.next()?, asked)?);
            for replica in parts {
                let (replica, known) = (address(replica, asked)?, &mut map.replicas[usize::from(number)]);
                if !known.contains(&replica) {
                    known.push(replica);
                }
            }
            map.owners.get_mut(first..=last)?.fill(Some(number));
        }
        (!map.masters.is_empty()).then_some(map)
    }

    fn number(&mut self, address: &RedisAddress) -> u16 {
        let known = self.masters.iter().position(|master| master == address);
        let number = known.unwrap_or_else(|| {
            self.masters.push(address.clone());
            self.replicas.push(Vec::new());
            self.masters.len() - 1
        });
        number as u16
    }

    /// The master of a slot.
    pub fn owner(&self, slot: usize) -> Option<&RedisAddress> {
        self.masters.get(usize::from(self.owners[slot]?))
    }

    /// Replicas of the master of a slot. They begin with another one for the next slot, so that all have their share.
    pub fn replicas(&self, slot: usize) -> impl Iterator<Item = &RedisAddress> {
        let known = self.owners[slot].and_then(|owner| self.replicas.get(usize::from(owner)));
        let known = known.map_or(&[][..], Vec::as_slice);
        let (behind, first) = known.split_at(slot % known.len().max(1));
        first.iter().chain(behind)
    }

    /// Whether it is one of the members.
    pub fn has(&self, address: &RedisAddress) -> bool {
        self.masters.iter().chain(self.replicas.iter().flatten()).any(|member| member == address)
    }

    /// The slots that a master has.
    pub fn slots_of(&self, master: &RedisAddress) -> impl Iterator<Item = usize> {
        (0..SLOTS).filter(move |slot| self.owner(*slot) == Some(master))
    }

    /// The slots that have another master in a newer map.
    pub fn moved(&self, newer: &Self) -> impl Iterator<Item = usize> {
        (0..SLOTS).filter(move |slot| self.owner(*slot) != newer.owner(*slot))
    }
}

/// A member that does not know its own name is where it was asked.
fn address(member: Value, asked: &RedisAddress) -> Option<RedisAddress> {
    let mut parts = Vec::<Value>::from_redis_value(member).ok()?.into_iter();
    let host = Option::<String>::from_redis_value(parts.next()?).ok()?;
    let port = u16::from_redis_value(parts.next()?).ok()?;
    match (host.as_deref(), asked) {
        (Some(host), _) if !matches!(host, "" | "?") => Some(RedisAddress::Tcp(host.into(), port)),
        (_, RedisAddress::Tcp(host, _)) => Some(RedisAddress::Tcp(host.clone(), port)),
        (_, RedisAddress::Unix(_)) => None,
    }
}

/// Where a request is to go instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// To whom.
    pub to: RedisAddress,
    /// This time only, and it must be said that it is so: the slot is moving.
    pub asks: bool,
}

impl Redirect {
    /// Reads an error such as `MOVED 3999 127.0.0.1:6381` of the member at `asked`.
    pub fn read(error: &str, asked: &RedisAddress) -> Option<Self> {
        let mut words = error.split(' ');
        let asks = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (host, port) = words.nth(1)?.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let to = match (host, asked) {
            ("" | "?", RedisAddress::Tcp(host, _)) => RedisAddress::Tcp(host.clone(), port),
            (host, _) => RedisAddress::Tcp(host.into(), port),
        };
        Some(Self { to, asks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> RedisAddress {
        RedisAddress::Tcp(host.into(), port)
    }

    #[test]
    fn slots_as_redis_has_them() {
        // What CLUSTER KEYSLOT says.
        for (key, expected) in [
            ("", 0),
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("a{foo}{bar}", 12_182),
            ("{}foo", 9_500),
            ("foo{", 7_673),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn a_map_is_read() {
        let text = |text: &str| Value::BulkString(text.into());
        let range = |first, last, host: Value, port| {
            let master = Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master])
        };
        let asked = tcp("here", 1);
        let answer = Value::Array(vec![
            range(0, 99, text("a"), 1),
            range(100, 199, Value::Nil, 2),
            range(200, 16_383, text("a"), 1),
        ]);
        let map = Map::read(answer, &asked).unwrap();
        assert_eq!(map.masters, [tcp("a", 1), tcp("here", 2)]);
        let owners = [0, 99, 100, 199, 200, 16_383].map(|slot| map.owner(slot).unwrap().to_string());
        assert_eq!(owners, ["a:1", "a:1", "here:2", "here:2", "a:1", "a:1"]);
        assert_eq!(map.slots_of(&tcp("here", 2)).collect::<Vec<_>>(), (100..200).collect::<Vec<_>>());
        let other = Map::read(Value::Array(vec![range(0, 149, text("a"), 1)]), &asked).unwrap();
        assert_eq!(map.moved(&other).collect::<Vec<_>>(), (100..16_384).collect::<Vec<_>>());
        assert_eq!(map.moved(&map.clone()).next(), None);
        assert_eq!(map.replicas(0).count(), 0);
        let member = |host, port| Value::Array(vec![text(host), Value::Int(port), text("id"), Value::Array(vec![])]);
        let with_replicas = |first, last| {
            let members = [member("a", 1), member("b", 2), member("c", 3)];
            Value::Array([vec![Value::Int(first), Value::Int(last)], members.to_vec()].concat())
        };
        let map = Map::read(Value::Array(vec![with_replicas(0, 9), with_replicas(20, 29)]), &asked).unwrap();
        let replicas = |slot| map.replicas(slot).map(RedisAddress::to_string).collect::<Vec<_>>();
        assert_eq!((replicas(0), replicas(21)), (vec!["b:2".into(), "c:3".into()], vec!["c:3".into(), "b:2".into()]));
        assert!(replicas(10).is_empty() && map.has(&tcp("c", 3)) && !map.has(&tcp("d", 4)));
        let gap = Value::Array(vec![range(5, 5, text("a"), 1)]);
        assert_eq!(Map::read(gap, &asked).unwrap().owner(4), None);
        for answer in [Value::Nil, Value::Array(vec![]), Value::Array(vec![range(5, 16_384, text("a"), 1)])] {
            assert_eq!(Map::read(answer, &asked), None);
        }
    }

    #[test]
    fn redirects_are_read() {
        let asked = tcp("here", 1);
        let read = |error: &str| Redirect::read(error, &asked).map(|redirect| (redirect.to.to_string(), redirect.asks));
        assert_eq!(read("MOVED 3999 10.0.0.1:6381"), Some(("10.0.0.1:6381".to_owned(), false)));
        assert_eq!(read("ASK 3999 ::1:6381"), Some(("[::1]:6381".to_owned(), true)));
        assert_eq!(read("MOVED 3999 :6381"), Some(("here:6381".to_owned(), false)));
        for other in ["ERR x", "MOVED", "MOVED 1", "MOVED 1 a", "MOVED 1 a:x", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
