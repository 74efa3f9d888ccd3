//! What desks ask, carried out on the control thread.

use clock::Now;

use crate::api::DeskCommand;
use crate::control::Control;

/// Carries out one command. A client that has gone away hears nothing.
pub(super) fn carry_out(control: &mut Control, now: Now, command: DeskCommand) {
    match command {
        DeskCommand::Agent { agent, reply } => {
            drop(reply.send(control.center().agent(now, &agent)));
        }
        DeskCommand::At { endpoint, reply } => {
            let mut agents = control.agents().iter();
            let agent = agents.find(|agent| agent.endpoint == endpoint);
            let agent = agent.and_then(|agent| control.center().agent(now, &agent.id));
            drop(reply.send(agent));
        }
        DeskCommand::Merge {
            endpoint,
            calls,
            reply,
        } => drop(reply.send(control.merge_calls(now, &endpoint, calls))),
        DeskCommand::WrapUp { agent, ask, reply } => {
            let _ = reply.send(control.agent_wrap_up(now, agent, ask));
        }
        DeskCommand::Pick { agent, call, reply } => {
            drop(reply.send(control.pick(now, &agent, call)));
        }
        DeskCommand::Missed { agent, reply } => {
            let known = control.center().endpoint_of(&agent).is_some();
            let missed = control.missed(&agent).map(|it| (now - it.at, it.clone()));
            let missed = known.then(|| missed.collect());
            let _ = reply.send(missed);
        }
        DeskCommand::Context { call, reply } => {
            drop(reply.send(control.context(now, call).map(Box::new)));
        }
        DeskCommand::Codes { reply } => drop(reply.send(control.codes().clone())),
        DeskCommand::Board { reply } => drop(reply.send(Box::new(control.board(now)))),
    }
}
