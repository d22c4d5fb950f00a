//! Who is in a channel (upstream: centrifuge presence_redis.go). Entries expire by the second.

use std::collections::HashSet;

use super::name::Names;
use super::script::Script;
use super::{Call, Unreadable, Value, stored};
use crate::base::ids::ClientId;
use crate::channel::publication::ClientInfo;

/// How presence is kept; the same on every node that shares the Redis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keeping {
    /// Seconds an entry stays unless it is renewed (`presence_ttl`).
    pub ttl_s: u32,
    /// Redis forgets fields of hashes by itself (`presence_hash_field_ttl`, from Redis 7.4 on), else sorted sets by
    /// expiry stand beside them.
    pub fields_expire: bool,
    /// Users are counted (`presence_user_mapping`), so that statistics read no entries.
    pub users_counted: bool,
}

/// Adds a client, or renews its entry.
pub fn add(names: &Names, keeping: Keeping, channel: &str, info: &ClientInfo, unix_s: u64) -> Call {
    let expires_at = unix_s.saturating_add(u64::from(keeping.ttl_s));
    on_entry(Script::PresenceAdd, names, keeping, channel)
        .shown(info.client)
        .written(|out| stored::write_info(info, out))
        .shown(keeping.ttl_s)
        .shown(expires_at)
        .flag(keeping.fields_expire)
        .arg(&*info.user)
}

/// Removes a client of a user.
pub fn remove(names: &Names, keeping: Keeping, channel: &str, client: ClientId, user: &str) -> Call {
    on_entry(Script::PresenceRemove, names, keeping, channel).shown(client).flag(keeping.fields_expire).arg(user)
}

fn on_entry(script: Script, names: &Names, keeping: Keeping, channel: &str) -> Call {
    let call = Call::script(script).key(names.presence_expire(channel)).key(names.presence_data(channel));
    if !keeping.users_counted {
        return call;
    }
    call.key(names.presence_user_expire(channel)).key(names.presence_user_clients(channel))
}

/// Who is present. The reply is read by [`entries`].
pub fn read(names: &Names, keeping: Keeping, channel: &str, unix_s: u64) -> Call {
    let mut call = Call::script(Script::PresenceRead).key(names.presence_data(channel));
    if !keeping.fields_expire {
        call = call.key(names.presence_expire(channel));
    }
    call.shown(unix_s)
}

/// Everyone present.
pub fn entries(reply: Value) -> Result<Vec<ClientInfo>, Unreadable> {
    let mut fields = reply.list()?.into_iter();
    let mut infos = Vec::with_capacity(fields.len() / 2);
    while let Some(_client) = fields.next() {
        let info = fields.next().ok_or(Unreadable("a client without an entry"))?;
        infos.push(stored::read_info(&info.bytes()?)?);
    }
    Ok(infos)
}

/// How many are present. The reply is read by [`counts`].
pub fn count(names: &Names, keeping: Keeping, channel: &str, unix_s: u64) -> Call {
    if !keeping.users_counted {
        return read(names, keeping, channel, unix_s);
    }
    let mut call = Call::script(Script::PresenceCount);
    call = call.key(names.presence_data(channel)).key(names.presence_user_clients(channel));
    if !keeping.fields_expire {
        call = call.key(names.presence_expire(channel)).key(names.presence_user_expire(channel));
    }
    call.shown(unix_s)
}

/// Number of clients and of users.
pub fn counts(keeping: Keeping, reply: Value) -> Result<(u32, u32), Unreadable> {
    if keeping.users_counted {
        let [clients, users] = reply.array()?;
        return Ok((narrow(clients.number()?), narrow(users.number()?)));
    }
    let infos = entries(reply)?;
    let users: HashSet<&str> = infos.iter().map(|info| &*info.user).collect();
    Ok((narrow(infos.len() as u64), narrow(users.len() as u64)))
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::broker::{Call, Layout};

    const ZSETS: Keeping = Keeping { ttl_s: 60, fields_expire: false, users_counted: false };
    const USERS: Keeping = Keeping { users_counted: true, ..ZSETS };
    const FIELDS: Keeping = Keeping { fields_expire: true, ..ZSETS };

    fn info(client: u8, user: &str) -> ClientInfo {
        ClientInfo {
            user: user.into(),
            client: ClientId([client; 16]),
            conn_info: Bytes::new(),
            chan_info: Bytes::new(),
        }
    }

    #[track_caller]
    fn check(call: Call, expected: &str) {
        let id = ClientId([7; 16]).to_string();
        assert_eq!(call.text().replace(&id, "ID"), expected);
    }

    #[test]
    fn calls() {
        let names = Names::new("p", Layout::Plain, false);
        let (client, client_info) = (ClientId([7; 16]), info(7, "u"));
        let entry = r"ID \n\x01u\x12$ID 60 160";
        let keys = "p.presence.expire.a p.presence.data.a";
        let user_keys = "p.presence.user.expire.a p.presence.user.clients.a";
        check(add(&names, ZSETS, "a", &client_info, 100), &format!("PresenceAdd {keys} | {entry} 0 u"));
        check(add(&names, USERS, "a", &client_info, 100), &format!("PresenceAdd {keys} {user_keys} | {entry} 0 u"));
        check(add(&names, FIELDS, "a", &client_info, 100), &format!("PresenceAdd {keys} | {entry} 1 u"));
        check(remove(&names, ZSETS, "a", client, "u"), &format!("PresenceRemove {keys} | ID 0 u"));
        check(remove(&names, USERS, "a", client, "u"), &format!("PresenceRemove {keys} {user_keys} | ID 0 u"));
        check(read(&names, ZSETS, "a", 100), "PresenceRead p.presence.data.a p.presence.expire.a | 100");
        check(read(&names, FIELDS, "a", 100), "PresenceRead p.presence.data.a | 100");
        check(count(&names, ZSETS, "a", 100), "PresenceRead p.presence.data.a p.presence.expire.a | 100");
        let both = "p.presence.data.a p.presence.user.clients.a";
        let expiries = "p.presence.expire.a p.presence.user.expire.a";
        check(count(&names, USERS, "a", 100), &format!("PresenceCount {both} {expiries} | 100"));
        let fields = Keeping { users_counted: true, ..FIELDS };
        check(count(&names, fields, "a", 100), &format!("PresenceCount {both} | 100"));
    }

    fn reply(infos: &[ClientInfo]) -> Value {
        let stored = |info: &ClientInfo| {
            let mut out = Vec::new();
            stored::write_info(info, &mut out);
            [Value::Bytes(info.client.to_string().into()), Value::Bytes(out.into())]
        };
        Value::List(infos.iter().flat_map(stored).collect())
    }

    #[test]
    fn entries_come_back() {
        let infos = [info(1, "a"), info(2, ""), info(3, "a")];
        assert_eq!(entries(reply(&infos)), Ok(infos.to_vec()));
        assert_eq!(counts(ZSETS, reply(&infos)), Ok((3, 2)));
        assert_eq!(counts(ZSETS, reply(&[])), Ok((0, 0)));
        let Value::List(mut cut) = reply(&infos) else { panic!("no list") };
        cut.pop();
        assert!(entries(Value::List(cut)).is_err());
        assert!(entries(Value::Nil).is_err());
    }

    #[test]
    fn users_are_counted_in_redis() {
        assert_eq!(counts(USERS, Value::List(vec![Value::Int(5), Value::Int(2)])), Ok((5, 2)));
        assert!(counts(USERS, Value::List(vec![Value::Int(5)])).is_err());
        assert!(counts(USERS, Value::List(vec![Value::Int(-1), Value::Int(2)])).is_err());
    }
}
