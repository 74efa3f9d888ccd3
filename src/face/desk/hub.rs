//! What happens at the centre, told to whoever it concerns: one watch of the server's events for all desks,
//! and one look a second at the queues.
//!
//! The law: a desk that does not read costs the others nothing. What is told of a desk's agent waits in a
//! bounded queue, newest dropped; of the queues a desk gets the latest view, whatever it missed between.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::machine::millis;
use crate::api::{Command, Control, DeskCommand};
use crate::call::{CallId, Hearing};
use crate::center::QueueSnapshot;
use crate::control::{Board, Event, MissedCall, What};

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// The agent's state, or what follows it, is another.
    Status,
    /// He has missed a call.
    Missed(Value),
    /// Nothing is heard of his page in that call, or something again.
    Heard { call: CallId, unheard: bool },
    /// The queues as they are now.
    Queues(Views),
}

/// The queues as they are now, by name.
pub(super) type Views = Arc<[Arc<QueueView>]>;

/// A queue as desks are shown it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueView {
    pub(super) name: String,
    /// What of it is told when it changes: all but the times.
    pub(super) shape: Arc<str>,
    pub(super) json: String,
}

/// Where desks say who they are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    seats: Arc<Mutex<Seats>>,
    queues: watch::Receiver<Views>,
}

/// What tells them.
#[derive(Debug)]
pub struct HubTask {
    seats: Arc<Mutex<Seats>>,
    queues: watch::Sender<Views>,
}

/// Who is to be told, by agent and by endpoint.
#[derive(Debug, Default)]
struct Seats {
    next: u64,
    agents: BTreeMap<String, BTreeMap<u64, mpsc::Sender<News>>>,
    endpoints: BTreeMap<String, BTreeMap<u64, mpsc::Sender<News>>>,
}

/// A desk that is told. Dropped, it is not any more.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Mutex<Seats>>,
    number: u64,
    agent: String,
    endpoint: String,
    pub(super) news: mpsc::Receiver<News>,
    pub(super) queues: watch::Receiver<Views>,
}

impl Hub {
    /// A hub, and what runs it.
    pub fn new() -> (Self, HubTask) {
        let seats = Arc::<Mutex<Seats>>::default();
        let (sender, queues) = watch::channel(Views::default());
        let task = HubTask {
            seats: seats.clone(),
            queues: sender,
        };
        (Self { seats, queues }, task)
    }

    /// A seat for the desk of that agent, who is rung at that endpoint.
    pub(super) fn sit(&self, agent: &str, endpoint: &str) -> Seat {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let mut seats = self.seats.lock();
        seats.next += 1;
        let number = seats.next;
        let at_agent = seats.agents.entry(agent.to_owned()).or_default();
        at_agent.insert(number, sender.clone());
        let at_endpoint = seats.endpoints.entry(endpoint.to_owned()).or_default();
        at_endpoint.insert(number, sender);
        drop(seats);
        let mut queues = self.queues.clone();
        // What is there already is news to him.
        queues.mark_changed();
        Seat {
            seats: self.seats.clone(),
            number,
            agent: agent.to_owned(),
            endpoint: endpoint.to_owned(),
            news,
            queues,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.lock();
        let Seats {
            agents, endpoints, ..
        } = &mut *seats;
        for (seats, name) in [(agents, &self.agent), (endpoints, &self.endpoint)] {
            let left = seats.get_mut(name).is_some_and(|at| {
                at.remove(&self.number);
                !at.is_empty()
            });
            if !left {
                seats.remove(name);
            }
        }
    }
}

impl HubTask {
    /// Tells desks what happens until `stop`.
    pub async fn run(
        self,
        mut events: broadcast::Receiver<Event>,
        control: Control,
        stop: CancellationToken,
    ) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => self.tell(&event),
                    // What was missed of an agent's state is asked for again.
                    Err(broadcast::error::RecvError::Lagged(_)) => self.tell_all(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = looks.tick() => self.look(&control).await,
                () = stop.cancelled() => return,
            }
        }
    }

    fn tell(&self, event: &Event) {
        let seats = self.seats.lock();
        let (at, news) = match (&event.what, event.call) {
            (What::Agent { agent, .. }, _) => (seats.agents.get(agent), News::Status),
            (What::Missed { agent, missed }, _) => (
                seats.agents.get(agent),
                News::Missed(missed_json(missed, Duration::ZERO)),
            ),
            (What::Hearing { who, is }, Some(call)) => {
                let unheard = *is != Hearing::Heard;
                (seats.endpoints.get(who), News::Heard { call, unheard })
            }
            _ => return,
        };
        for seat in at.into_iter().flat_map(BTreeMap::values) {
            // A desk that far behind is told of its state by what waits already.
            let _ = seat.try_send(news.clone());
        }
    }

    fn tell_all(&self) {
        let seats = self.seats.lock();
        for seat in seats.agents.values().flat_map(BTreeMap::values) {
            let _ = seat.try_send(News::Status);
        }
    }

    /// Looks at the queues, if anybody is there to be told.
    async fn look(&self, control: &Control) {
        if self.seats.lock().agents.is_empty() {
            return;
        }
        let ask = |reply| Command::Desk(DeskCommand::Board { reply });
        let Ok(board) = control.ask(ask).await else {
            return;
        };
        let views: Views = board
            .center
            .queues
            .iter()
            .map(|it| view(it, &board))
            .collect();
        let shape = |views: &Views| -> Vec<Arc<str>> {
            views.iter().map(|view| view.shape.clone()).collect()
        };
        self.queues.send_if_modified(|before| {
            let changed = shape(before) != shape(&views);
            if changed {
                *before = views;
            }
            changed
        });
    }
}

/// A missed call as a page is told it.
pub(super) fn missed_json(missed: &MissedCall, ago: Duration) -> Value {
    json!({
        "call": missed.call.to_string(),
        "caller": {"number": missed.from},
        "queue": missed.queue,
        "why": missed.why.name(),
        "ago_ms": millis(ago),
    })
}

fn view(queue: &QueueSnapshot, board: &Board) -> Arc<QueueView> {
    let mut shape = String::new();
    let waiting = queue.waiting.iter().take(WAITING_SHOWN).map(|waits| {
        let offered = waits.offered_to.as_ref().map(|agent| agent.as_str());
        let _ = write!(shape, "{}:{};", waits.call, offered.unwrap_or(""));
        json!({
            "waiting": waits.call.to_string(),
            "position": waits.position,
            "waited_ms": millis(waits.waited),
            "caller": {"number": board.callers.get(&waits.call)},
            "expected_ms": waits.expected.map(millis),
            "offered_to": offered,
        })
    });
    let waiting: Vec<Value> = waiting.collect();
    let agents: BTreeMap<String, usize> = queue
        .agents
        .iter()
        .map(|(state, count)| (state.name().replace('-', "_"), *count))
        .collect();
    let count = queue.waiting.len();
    let _ = write!(shape, "{count} {agents:?} {}", queue.name);
    let longest = queue.waiting.iter().map(|it| it.waited).max();
    let json = json!({
        "name": queue.name,
        "waiting": waiting,
        "count": count,
        "agents": agents,
        "longest_ms": longest.map(millis),
    });
    Arc::new(QueueView {
        name: queue.name.clone(),
        shape: shape.into(),
        json: json.to_string(),
    })
}

/// How often the queues are looked at: as often as desks are told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Calls of a queue that a page is shown; the count says how many there are.
const WAITING_SHOWN: usize = 100;
/// News that wait for one desk.
const NEWS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use clock::Now;

    use super::*;
    use crate::center::{AgentState, Missed};

    fn event(call: Option<CallId>, what: What) -> Event {
        let at = Now::ZERO;
        Event { at, call, what }
    }

    #[test]
    fn each_desk_is_told_of_its_own_agent_and_endpoint_until_it_is_gone() {
        let (hub, task) = Hub::new();
        let mut anna = hub.sit("anna", "desk1");
        let mut again = hub.sit("anna", "desk1");
        let mut bob = hub.sit("bob", "desk2");
        let call = Some(CallId(7));
        let agent = "anna".to_owned();
        let missed = MissedCall {
            at: Now::ZERO,
            call: CallId(7),
            from: "+33".to_owned(),
            queue: "sales".to_owned(),
            why: Missed::NoAnswer,
        };
        task.tell(&event(
            None,
            What::Agent {
                agent: agent.clone(),
                state: AgentState::Busy,
            },
        ));
        task.tell(&event(call, What::Missed { agent, missed }));
        let who = "desk2".to_owned();
        let is = Hearing::OneWay;
        task.tell(&event(call, What::Hearing { who, is }));
        task.tell(&event(call, What::Answered));
        for seat in [&mut anna, &mut again] {
            assert!(matches!(seat.news.try_recv(), Ok(News::Status)));
            let Ok(News::Missed(missed)) = seat.news.try_recv() else {
                panic!("want the missed call")
            };
            assert_eq!(missed["caller"]["number"], "+33");
            assert!(seat.news.try_recv().is_err());
        }
        let heard = bob.news.try_recv();
        assert!(matches!(heard, Ok(News::Heard { unheard: true, .. })));
        drop((anna, again, bob));
        let seats = hub.seats.lock();
        assert!(seats.agents.is_empty() && seats.endpoints.is_empty());
    }

    #[test]
    fn a_desk_that_does_not_read_holds_a_bounded_number_of_news() {
        let (hub, task) = Hub::new();
        let mut anna = hub.sit("anna", "desk1");
        for _ in 0..1_000 {
            task.tell_all();
        }
        let waiting = std::iter::from_fn(|| anna.news.try_recv().ok()).count();
        assert_eq!(waiting, NEWS_MAX);
    }
}
