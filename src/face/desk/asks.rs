//! What a desk's machine asks of the API and of the tokens, carried out: one task a question.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::fault::Fault;
use super::hub::missed_json;
use super::machine::{Ask, Desk, Entered, Introduction, Then, Told};
use super::task::{Caller, Desks};
use super::wire::Pass;
use crate::access::{IceServer, Kind};
use crate::api::{ApiError, Command, DeskCommand, Reply, keep_note};
use crate::call::CallId;
use crate::center::AgentId;
use crate::face::line::{LineConfig, Proof};
use crate::store::LegRow;

/// What the machine asks, under way.
pub(super) struct Asks {
    desks: Desks,
    caller: Caller,
    /// The session's seat, once the page was greeted.
    pub(super) seat: Option<crate::face::Seat>,
    under_way: JoinSet<Told>,
}

impl Asks {
    pub(super) fn new(desks: Desks, caller: Caller) -> Self {
        Self {
            desks,
            caller,
            seat: None,
            under_way: JoinSet::new(),
        }
    }

    /// The next answer; none is to come while nothing is asked.
    pub(super) async fn answer(&mut self) -> Told {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(told)) => return told,
                // One that was lost has no answer.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    pub(super) fn begin(&mut self, ask: Ask) {
        let (desks, caller) = (self.desks.clone(), self.caller.clone());
        self.under_way.spawn(async move {
            let asked = Asked { desks, caller };
            asked.told(ask).await
        });
    }

    /// The session is his: who was here as the same is told to leave, and his calls are taken up.
    pub(super) fn enter(&mut self, desk: &Desk) {
        let Some((user, session, again)) = desk.session() else {
            return;
        };
        let named = (user.to_owned(), session.to_owned());
        let seat = self.desks.parked.enter((user, session));
        let tries = if seat.awaits { LEFT_TRIES } else { 1 };
        self.seat = Some(seat);
        if !again {
            return;
        }
        let Desks { parked, clock, .. } = self.desks.clone();
        self.under_way.spawn(async move {
            for _ in 0..tries {
                let left = parked.take(clock.now(), (&named.0, &named.1));
                if !left.is_empty() {
                    return Told::Left(left);
                }
                tokio::time::sleep(LEFT_PAUSE).await;
            }
            Told::Left(Vec::new())
        });
    }
}

/// One question.
struct Asked {
    desks: Desks,
    caller: Caller,
}

impl Asked {
    async fn told(self, ask: Ask) -> Told {
        match ask {
            Ask::Enter(pass) => Told::Entered(self.enter(pass).map(Box::new)),
            Ask::Introduce { agent, endpoint } => {
                Told::Introduced(self.introduce(agent, endpoint).await.map(Box::new))
            }
            Ask::Status { agent } => {
                let agent = AgentId::new(&agent);
                let status = self.desk(|reply| DeskCommand::Agent { agent, reply });
                // Control that does not answer is no reason to send anybody away.
                match status.await {
                    Ok(status) => Told::Status(status.map(Box::new)),
                    Err(_) => Told::Unknown,
                }
            }
            Ask::Context { name, call } => {
                let context = self.desk(|reply| DeskCommand::Context { call, reply });
                let context = context.await.ok().flatten();
                Told::Context { name, context }
            }
            Ask::Figures { endpoint, calls } => Told::Figures(self.figures(&endpoint, calls).await),
            ask => self.do_it(ask).await,
        }
    }

    async fn desk<T>(&self, command: impl FnOnce(Reply<T>) -> DeskCommand) -> Result<T, ApiError> {
        let ask = |reply| Command::Desk(command(reply));
        self.desks.control.ask(ask).await
    }

    /// Requests of the page.
    async fn do_it(&self, ask: Ask) -> Told {
        let mut then = None;
        let (id, result) = match ask {
            Ask::Wish {
                id,
                agent,
                wish,
                reason,
            } => {
                let ask = |reply| Command::SetAgent {
                    agent: AgentId::new(&agent),
                    wish,
                    reason,
                    reply,
                };
                let done = self.desks.control.ask(ask).await;
                (id, flat(done))
            }
            Ask::WrapUp { id, agent, ask } => {
                let agent = AgentId::new(&agent);
                let done = self.desk(|reply| DeskCommand::WrapUp { agent, ask, reply });
                (id, done.await.map(|_| ()).map_err(Fault::from))
            }
            Ask::Pick { id, agent, call } => {
                let agent = AgentId::new(&agent);
                let done = self.desk(|reply| DeskCommand::Pick { agent, call, reply });
                (id, flat(done.await))
            }
            Ask::Record {
                id,
                name,
                call,
                ask,
            } => {
                then = Some(Then::Recording { name, ask });
                let key = None;
                let ask = |reply| Command::Record {
                    call,
                    ask,
                    key,
                    reply,
                };
                let done = self.desks.control.ask(ask).await;
                let there = |yes: bool| if yes { Ok(()) } else { Err(Fault::NoCall) };
                (id, done.map_err(Fault::from).and_then(there))
            }
            Ask::Write {
                id,
                agent,
                call,
                note,
                disposition,
            } => {
                let Desks { control, store, .. } = &self.desks;
                let of = (call, AgentId::new(&agent));
                let kept = keep_note(control, store, of, note, disposition).await;
                (id, kept.map_err(Fault::from))
            }
            Ask::Merge {
                id,
                endpoint,
                names,
                calls,
            } => {
                then = Some(Then::Merged { names });
                let done = self.desk(|reply| DeskCommand::Merge {
                    endpoint,
                    calls,
                    reply,
                });
                (id, flat(done.await))
            }
            _ => return Told::Unknown,
        };
        Told::Done { id, result, then }
    }

    /// Whose a pass is, as far as the pass says it; his registration proves it.
    fn enter(&self, pass: Pass) -> Result<Entered, Fault> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|_| Fault::Login)?;
        let (seed, session) = random.split_at(8);
        let seed = seed.try_into().map(u64::from_le_bytes).unwrap_or_default();
        let session: String = session.iter().map(|byte| format!("{byte:02x}")).collect();
        let entered = |user, proof| Entered {
            line: LineConfig {
                transport: self.caller.transport,
                user,
                host: self.caller.host.clone(),
                proof,
                user_agent: "Tandem desk".to_owned(),
                seed,
            },
            agent: None,
            session,
            resume: None,
            again: false,
        };
        let (token, again) = match pass {
            Pass::Password { endpoint, password } => {
                return Ok(entered(endpoint, Proof::Password(password)));
            }
            Pass::Token(token) => (token, false),
            Pass::Resume(token) => (token, true),
        };
        self.by_token(token, again, entered)
    }

    /// Whose a token is. Whether he still is anybody shows when he registers by it.
    fn by_token(
        &self,
        token: String,
        again: bool,
        entered: impl FnOnce(String, Proof) -> Entered,
    ) -> Result<Entered, Fault> {
        let (access, now) = (&self.desks.access, self.desks.clock.wall());
        let subject = access.verify(&token, now).map_err(|why| {
            tracing::info!(?why, "a desk's token is not good");
            Fault::Login
        })?;
        if subject.kind == Kind::Click {
            return Err(Fault::Login);
        }
        let mut entered = entered(subject.endpoint.clone(), Proof::Bearer(token));
        if again {
            entered.session = subject.session.clone().ok_or(Fault::Login)?;
        }
        let resume = access.resume(&subject, &entered.session, now);
        Ok(Entered {
            agent: subject.agent,
            resume: Some(resume.token),
            again,
            ..entered
        })
    }

    /// STUN and TURN servers, as `RTCPeerConnection` takes them.
    fn ice_servers(&self, who: &str) -> Vec<Value> {
        let turn = self.desks.turn.as_ref();
        let told = turn.map(|turn| IceServer::all(turn, who, self.desks.clock.wall()).0);
        let servers = told.into_iter().flatten();
        let json = |server: IceServer| match server.credentials {
            Some((username, credential)) => {
                json!({"urls": server.urls, "username": username, "credential": credential})
            }
            None => json!({"urls": server.urls}),
        };
        servers.map(json).collect()
    }

    async fn introduce(
        &self,
        agent: Option<String>,
        endpoint: String,
    ) -> Result<Introduction, Fault> {
        let served_at = endpoint.clone();
        let found = match agent {
            Some(agent) => {
                let agent = AgentId::new(&agent);
                self.desk(|reply| DeskCommand::Agent { agent, reply })
                    .await?
            }
            None => {
                self.desk(|reply| DeskCommand::At { endpoint, reply })
                    .await?
            }
        };
        let agent = found.ok_or(Fault::NoAgent)?;
        let codes = self.desk(|reply| DeskCommand::Codes { reply }).await?;
        let who = agent.id.clone();
        let missed = self.desk(|reply| DeskCommand::Missed { agent: who, reply });
        let missed = missed.await?.unwrap_or_default();
        // The latest first.
        let missed = missed.iter().rev();
        let missed: Vec<Value> = missed.map(|(ago, it)| missed_json(it, *ago)).collect();
        Ok(Introduction {
            agent,
            codes,
            missed,
            ice_servers: self.ice_servers(&served_at),
        })
    }

    /// The page's own leg of each call.
    async fn figures(&self, endpoint: &str, calls: Vec<(String, CallId)>) -> Vec<(String, LegRow)> {
        let mut figures = Vec::with_capacity(calls.len());
        for (name, call) in calls {
            let found = self
                .desks
                .control
                .ask(|reply| Command::Call { call, reply });
            let Ok(Some(found)) = found.await else {
                continue;
            };
            let legs = found.legs.into_iter().flatten();
            if let Some(leg) = legs.into_iter().find(|leg| leg.who == endpoint) {
                figures.push((name, leg));
            }
        }
        figures
    }
}

/// How often, and after which pauses, it is looked whether who was here has left his calls.
const LEFT_TRIES: u32 = 20;
const LEFT_PAUSE: Duration = Duration::from_millis(50);

/// Control's word on a request, or why there is none.
fn flat<E: Into<ApiError>>(done: Result<Result<(), E>, ApiError>) -> Result<(), Fault> {
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(why.into().into()),
        Err(error) => Err(error.into()),
    }
}
