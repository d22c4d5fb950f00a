//! Finding a server and connecting to it: an address, a master or replica that Sentinels know, a member of a Cluster.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::seq::SliceRandom;
use redis::{Role, Value, cmd};
use tokio::time::timeout;

use super::advice;
use super::resp::{Incoming, Sha};
use super::slots::Map;
use super::talk::{Talk, connect};
use crate::config::snapshot::{ClientTls, RedisAddress, RedisLogin, RedisPlace, RedisServer};
use crate::control::dial::{Socket, Tls};
use crate::control::link::{self, Door, Opening};

/// How a server is reached; made once.
#[derive(Debug)]
pub struct Dial {
    server: RedisServer,
    tls: Option<Tls>,
    sentinel_tls: Option<Tls>,
    /// Members of the Cluster as they were last seen; where one is looked for.
    members: Mutex<Vec<RedisAddress>>,
    /// Which one it leads to, where there are several.
    aim: Aim,
}

/// Which server of several is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    /// The master; of a Cluster any member.
    Any,
    /// A replica, which is only read from.
    Replica,
    /// The member of the Cluster that has this slot.
    Slot(usize),
}

/// A way to the server for a link.
#[derive(Debug)]
pub struct Way {
    /// How the server is reached.
    pub dial: Arc<Dial>,
    /// The connection is to run scripts. Then their SHA-1s are what is learned.
    pub loads_scripts: bool,
}

impl Door for Way {
    type Incoming = Incoming;
    /// Scripts that are loaded, and the server that it is.
    type News = (Vec<Sha>, RedisAddress);

    fn name(&self) -> String {
        self.dial.name()
    }

    fn open(self: Arc<Self>) -> Opening<Self> {
        Box::pin(async move {
            let Opened { socket, incoming, scripts, address, .. } = self.dial.open(self.loads_scripts).await?;
            Ok(link::Opened { socket, incoming, news: (scripts, address) })
        })
    }
}

/// A connection that is logged in.
pub struct Opened {
    /// The connection.
    pub socket: Box<dyn Socket>,
    /// What came behind the last answer; nothing, with a server that keeps to the protocol.
    pub incoming: Incoming,
    /// Each script's SHA-1, at its number; empty when they were not asked for.
    pub scripts: Vec<Sha>,
    /// What the server says it is: `standalone`, `cluster`, `sentinel`; empty when it does not say.
    pub mode: Box<str>,
    /// Where it is.
    pub address: RedisAddress,
}

impl Dial {
    /// Reads what the options of TLS name.
    ///
    /// # Errors
    /// What is wrong with which option, in a sentence.
    pub fn new(server: &RedisServer) -> Result<Self, String> {
        let sentinel_tls = match &server.place {
            RedisPlace::Sentinel { tls, .. } => tls.as_ref(),
            _ => None,
        };
        let ready = |options: Option<&ClientTls>| options.map(Tls::new).transpose();
        let members = match &server.place {
            RedisPlace::Cluster(seeds) => seeds.clone(),
            _ => Vec::new(),
        };
        let (tls, sentinel_tls) = (ready(server.tls.as_ref())?, ready(sentinel_tls)?);
        Ok(Self { server: server.clone(), tls, sentinel_tls, members: Mutex::new(members), aim: Aim::Any })
    }

    /// The same for another place.
    fn to(&self, place: RedisPlace, members: Vec<RedisAddress>, aim: Aim) -> Self {
        let server = RedisServer { place, ..self.server.clone() };
        let (tls, sentinel_tls) = (self.tls.clone(), self.sentinel_tls.clone());
        Self { server, tls, sentinel_tls, members: Mutex::new(members), aim }
    }

    /// How one member of the Cluster is reached. If replicas are read from, it may be one.
    pub fn to_member(&self, address: &RedisAddress) -> Self {
        let aim = if self.reads_replicas() { Aim::Replica } else { Aim::Any };
        self.to(RedisPlace::Server(address.clone()), Vec::new(), aim)
    }

    /// How the whole Cluster is reached, of which this is a member.
    pub fn to_cluster_of(&self, member: &RedisAddress) -> Self {
        let seeds = vec![member.clone()];
        self.to(RedisPlace::Cluster(seeds.clone()), seeds, Aim::Any)
    }

    /// How the member of the Cluster is reached that has a slot, whichever it is by then.
    pub fn to_owner(&self, slot: usize) -> Self {
        let members = self.members.lock().map(|members| members.clone()).unwrap_or_default();
        self.to(self.server.place.clone(), members, Aim::Slot(slot))
    }

    /// How a replica of the master that Sentinels know is reached, if such are to be read from.
    pub fn to_replica(&self) -> Option<Self> {
        let has_any = self.reads_replicas() && matches!(self.server.place, RedisPlace::Sentinel { .. });
        has_any.then(|| self.to(self.server.place.clone(), Vec::new(), Aim::Replica))
    }

    /// Whether what may be a little old is to be read from replicas.
    pub fn reads_replicas(&self) -> bool {
        self.server.reads_replicas
    }

    /// Whether a Cluster is expected there.
    pub fn is_cluster(&self) -> bool {
        matches!(self.server.place, RedisPlace::Cluster(_))
    }

    /// The address, if it is always the same one.
    pub fn address(&self) -> Option<&RedisAddress> {
        match &self.server.place {
            RedisPlace::Server(address) => Some(address),
            _ => None,
        }
    }

    /// Asks a member of the Cluster who has which slot.
    ///
    /// # Errors
    /// Nobody said so, in a few words without secrets.
    pub async fn map(&self) -> Result<Map, String> {
        let (mut talk, address) = self.any_member().await?;
        let asked = timeout(self.io_timeout(), talk.ask::<Value>(cmd("CLUSTER").arg("SLOTS"))).await;
        let answer = asked.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        let answer = answer.map_err(|reason| format!("{address}: {reason}"))?;
        let map =
            Map::read(answer, &address).ok_or_else(|| format!("{address}: nobody has any slot of the Cluster"))?;
        if let Ok(mut members) = self.members.lock() {
            // Those that are gone may come back, so the ones that were written stay.
            let RedisPlace::Cluster(seeds) = &self.server.place else { return Ok(map) };
            *members = map.masters.clone();
            members.extend(seeds.iter().filter(|seed| !map.masters.contains(seed)).cloned());
        }
        Ok(map)
    }

    /// A connection to one of the members, whoever answers; another one each time.
    async fn any_member(&self) -> Result<(Talk, RedisAddress), String> {
        let mut members = self.members.lock().map(|members| members.clone()).unwrap_or_default();
        members.shuffle(&mut rand::rng());
        let mut problem = "no member of the Cluster is known".to_owned();
        for address in members {
            match self.talk(&address).await {
                Ok(talk) => return Ok((talk, address)),
                Err(reason) => problem = reason,
            }
        }
        Err(problem)
    }

    /// Where it is, for messages.
    pub fn name(&self) -> String {
        match &self.server.place {
            RedisPlace::Server(address) => address.to_string(),
            RedisPlace::Sentinel { master, .. } if self.aim == Aim::Replica => format!("a replica of {master}"),
            RedisPlace::Sentinel { master, .. } => format!("master {master}"),
            RedisPlace::Cluster(seeds) => seeds.iter().map(RedisAddress::to_string).collect::<Vec<_>>().join(","),
        }
    }

    /// Longest exchange.
    pub fn io_timeout(&self) -> Duration {
        Duration::from_millis(self.server.io_timeout_ms)
    }

    /// Connects, and loads scripts when it is to run them.
    ///
    /// # Errors
    /// Why not, in a few words without secrets.
    pub async fn open(&self, loads_scripts: bool) -> Result<Opened, String> {
        let (mut talk, address) = self.reach().await?;
        let asked = matches!(self.server.place, RedisPlace::Sentinel { .. });
        let (io_timeout, aim) = (self.io_timeout(), self.aim);
        let prepared = timeout(io_timeout, async {
            if self.server.db != 0 {
                talk.ask::<()>(cmd("SELECT").arg(self.server.db)).await?;
            }
            // Sentinels may not have noticed yet that it is master no more, or that its master is gone.
            if asked {
                match (talk.ask(&cmd("ROLE")).await?, aim) {
                    (Role::Primary { .. }, Aim::Any) => {}
                    (Role::Replica { replication_state, .. }, Aim::Replica) if replication_state == "connected" => {}
                    (_, Aim::Replica) => return Err("it is no replica that follows its master".to_owned()),
                    _ => return Err("it is no master".to_owned()),
                }
            } else if aim == Aim::Replica {
                // What a member of a Cluster says otherwise is who has the slot: its master.
                talk.ask::<()>(&cmd("READONLY")).await?;
            }
            if loads_scripts { talk.load_scripts().await } else { Ok(Vec::new()) }
        });
        let scripts = match prepared.await {
            Ok(prepared) => prepared.map_err(|error| format!("{address}: {error}{}", self.advice(&error)))?,
            Err(_) => return Err(format!("{address} does not answer")),
        };
        Ok(Opened { socket: talk.socket, incoming: talk.incoming, scripts, mode: talk.mode, address })
    }

    /// A connection to the server, or to the one that is meant, and where that is.
    async fn reach(&self) -> Result<(Talk, RedisAddress), String> {
        Ok(match &self.server.place {
            RedisPlace::Server(address) => (self.talk(address).await?, address.clone()),
            RedisPlace::Sentinel { addresses, master, login, .. } => {
                let address = self.named_by_sentinels(addresses, master, login).await?;
                (self.talk(&address).await?, address)
            }
            RedisPlace::Cluster(_) => match self.aim {
                Aim::Slot(slot) => {
                    let address = self.map().await?.owner(slot).cloned();
                    let address = address.ok_or_else(|| format!("no member of the Cluster has slot {slot}"))?;
                    (self.talk(&address).await?, address)
                }
                Aim::Any | Aim::Replica => self.any_member().await?,
            },
        })
    }

    /// Whether the server knows a command. Where it does not say, it is taken to.
    pub async fn knows(&self, command: &str) -> bool {
        let asked = async {
            let (mut talk, _) = self.reach().await?;
            talk.ask::<Vec<Value>>(cmd("COMMAND").arg("INFO").arg(command)).await
        };
        !matches!(timeout(self.io_timeout(), asked).await, Ok(Ok(known)) if known.first() == Some(&Value::Nil))
    }

    /// Where Sentinels say that the master is, or any of its replicas; the first one that knows is believed.
    async fn named_by_sentinels(
        &self,
        sentinels: &[RedisAddress],
        master: &str,
        login: &RedisLogin,
    ) -> Result<RedisAddress, String> {
        let mut problem = String::new();
        for sentinel in sentinels {
            let asked = async {
                let mut talk = self.connect(sentinel, self.sentinel_tls.as_ref(), login, "sentinel_").await?;
                if !matches!(&*talk.mode, "" | "sentinel") {
                    return Err("it is a Redis and no Sentinel (look at sentinel_address and address)".to_owned());
                }
                let found = async {
                    if self.aim == Aim::Replica {
                        return talk.replica(master).await;
                    }
                    match talk.ask(cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master)).await? {
                        Some((host, port)) => Ok(RedisAddress::Tcp(String::into(host), port)),
                        None => Err(format!("it knows no master {master:?}")),
                    }
                };
                timeout(self.io_timeout(), found).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
            };
            match asked.await {
                Ok(address) => return Ok(address),
                Err(error) => problem = format!("Sentinel {sentinel}: {error}"),
            }
        }
        Err(problem)
    }

    /// A connection to a server with data.
    async fn talk(&self, address: &RedisAddress) -> Result<Talk, String> {
        let talk = self.connect(address, self.tls.as_ref(), &self.server.login, "").await?;
        match &*talk.mode {
            "sentinel" => {
                Err(format!("{address} is a Sentinel and keeps nothing (look at address and sentinel_address)"))
            }
            _ => Ok(talk),
        }
    }

    /// Connects and logs in. The options about it have this prefix.
    async fn connect(
        &self,
        address: &RedisAddress,
        tls: Option<&Tls>,
        login: &RedisLogin,
        prefix: &str,
    ) -> Result<Talk, String> {
        let advice = |error: &str| advice::on(error, tls.is_some(), prefix);
        let connect_timeout = Duration::from_millis(self.server.connect_timeout_ms);
        let socket = timeout(connect_timeout, connect(address, tls)).await;
        let socket = socket.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, advice::TOO_LONG)));
        let socket = socket.map_err(|error| {
            let error = error.to_string();
            format!("cannot connect to {address}: {error}{}", advice(&error))
        })?;
        let mut talk = Talk::over(socket);
        match timeout(self.io_timeout(), talk.log_in(login, self.server.forces_resp2)).await {
            Ok(Ok(())) => Ok(talk),
            Ok(Err(error)) => Err(format!("{address}: {error}{}", advice(&error))),
            Err(_) => Err(format!("{address} does not answer")),
        }
    }

    /// What an operator may have to change, behind an error of a request.
    pub fn advice(&self, error: &str) -> String {
        advice::on(error, self.tls.is_some(), "")
    }
}
