//! Things between calls, done.

use super::{Task, World};
use crate::mix::Mix;
use crate::stage::OPERATOR;

impl World<'_> {
    pub(super) fn on_mix(&mut self, mix: Mix) {
        match mix {
            Mix::Attend { by, other } => self.attend(by, other),
            Mix::TakeOver { by, of } => self.take_over(by, of),
            Mix::AnyAttend => {
                let up = self.up_hosts();
                let mut pairs = Vec::new();
                for a in &up {
                    pairs.extend(
                        up.iter()
                            .filter(|b| self.one_owner(*a, **b))
                            .map(|b| (*a, *b)),
                    );
                }
                if let Some((by, other)) = self.mixer.pick(&pairs).copied() {
                    self.attend(by, other);
                }
            }
            Mix::AnyTakeOver => {
                let idle =
                    self.hosts.iter().enumerate().filter(|(_, it)| {
                        it.phone.is_idle() && !it.crashed && it.phone.registers()
                    });
                let idle: Vec<usize> = idle.map(|(index, _)| index).collect();
                let up = self.up_hosts();
                let by = self.mixer.pick(&idle).copied();
                if let (Some(by), Some(of)) = (by, self.mixer.pick(&up).copied()) {
                    self.take_over(by, of);
                }
            }
        }
    }

    fn up_hosts(&self) -> Vec<usize> {
        let hosts = self.hosts.iter().enumerate();
        let up = hosts.filter(|(_, it)| it.phone.dialog_name().is_some() && !it.crashed);
        up.map(|(index, _)| index).collect()
    }

    /// Whether two hosts belong to one endpoint, or both to the carrier.
    fn one_owner(&self, a: usize, b: usize) -> bool {
        let owner = |host: usize| {
            let phone = self.hosts.get(host).map(|it| &it.phone);
            phone.map(|it| if it.registers() { it.user() } else { "" })
        };
        a != b && owner(a) == owner(b)
    }

    fn attend(&mut self, by: usize, other: usize) {
        let name = self.hosts.get(other).and_then(|it| it.phone.dialog_name());
        let Some(name) = name else {
            return self
                .checks
                .word(format!("host {other} has no dialog to name"));
        };
        self.checks
            .word(format!("host {by} hands on to the partner of host {other}"));
        let to = format!("sip:{OPERATOR}@10.0.0.1");
        self.with_phone(by, |host, now| {
            host.phone.refer(now, &mut host.desk, &to, Some(&name));
        });
    }

    fn take_over(&mut self, by: usize, of: usize) {
        let name = self.hosts.get(of).and_then(|it| it.phone.dialog_name());
        let Some(name) = name else {
            return self.checks.word(format!("host {of} has no dialog to name"));
        };
        self.checks
            .word(format!("host {by} takes the place of host {of}"));
        self.with_phone(by, |host, now| {
            host.phone
                .call_in_place(now, &mut host.desk, OPERATOR, &name);
        });
    }

    /// Whoever still talks long after all is done hangs up: two who were left to each other.
    pub(super) fn plan_last_words(&mut self) {
        for host in 0..self.hosts.len() {
            self.plan(self.work_ends + LAST_WORDS, Task::GiveUp(host));
        }
    }
}

const LAST_WORDS: clock::Duration = clock::Duration::from_secs(60);
