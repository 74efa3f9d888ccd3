//! The language in one table: every node, step and test line with its arguments, attributes, types,
//! defaults and exits.
//!
//! The law: the reader of fields, the checker and the reference in `docs/dialplan.md` are made from
//! these rows, so that they cannot disagree.

use crate::call::Cause;

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A text in which `{from}`, `{to}`, `{trunk}`, `{digits}` and `{vars.x}` are replaced.
    Spoken,
    /// A prompt file below the prompts folder.
    File,
    /// A text such as `"500ms"`, `"30s"`, `"10m"`, `"1h"`, of at most a day.
    Time,
    /// A whole number within bounds.
    Whole(i64, i64),
    /// `#true` or `#false`.
    Truth,
    /// The name of something declared elsewhere.
    Name(Named),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of the hang-up causes of `call::Cause`.
    Cause,
    /// Keys of a telephone: `0`–`9`, `*`, `#`, `A`–`D`.
    Keys,
    /// A condition or expression in CEL.
    Cel,
    /// The name of a time zone: `Europe/Dublin`.
    Zone,
    /// An endpoint's name, or a telephone number that goes through a trunk.
    Callee,
    /// A variable's name.
    Variable,
    /// A text, a whole number, a truth, or `(cel)"…"`.
    Anything,
}

/// What a name may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Flow,
    Queue,
    Trunk,
    Agent,
}

impl Kind {
    /// The kind as the reference and the messages name it.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Spoken => "text, may hold `{vars.name}`".into(),
            Self::File => "prompt file".into(),
            Self::Time => "time such as \"10s\"".into(),
            Self::Whole(least, most) => format!("whole number {least} to {most}"),
            Self::Truth => "#true or #false".into(),
            Self::Name(Named::Flow) => "name of a flow or menu".into(),
            Self::Name(Named::Queue) => "name of a queue".into(),
            Self::Name(Named::Trunk) => "name of a trunk".into(),
            Self::Name(Named::Agent) => "name of an agent".into(),
            Self::Choice(words) => words.join(" or "),
            Self::Cause => {
                let names: Vec<&str> = Cause::all().map(Cause::name).collect();
                names.join(" or ")
            }
            Self::Keys => "keys 0-9 * # A-D".into(),
            Self::Cel => "expression in CEL".into(),
            Self::Zone => "time zone such as \"Europe/Dublin\"".into(),
            Self::Callee => "endpoint or telephone number".into(),
            Self::Variable => "name of a variable".into(),
            Self::Anything => "text, whole number, #true, #false or (cel)\"…\"".into(),
        }
    }
}

/// One argument, in order; the last may be repeated.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) about: &'static str,
}

/// One attribute `name=value`.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Option<&'static str>,
    pub(super) required: bool,
    pub(super) about: &'static str,
}

/// One `on …` block.
#[derive(Debug)]
pub(super) struct ExitRow {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// What may stand in a node's block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Block {
    /// No block.
    None,
    /// Steps; required.
    Steps,
    /// `say` and `play`, then `on …` exits; for a menu a `gather` too.
    Prompts,
    /// `on …` exits only.
    Exits,
    /// These nodes.
    Nodes(&'static [Row]),
}

/// One node of the language.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) arguments: &'static [Argument],
    pub(super) attributes: &'static [Attribute],
    /// Attributes of any name: `set`.
    pub(super) free: bool,
    pub(super) block: Block,
    pub(super) exits: &'static [ExitRow],
}

const fn arg(name: &'static str, kind: Kind, about: &'static str) -> Argument {
    Argument {
        name,
        kind,
        least: 1,
        most: 1,
        about,
    }
}

const fn many(name: &'static str, kind: Kind, least: usize, about: &'static str) -> Argument {
    Argument {
        name,
        kind,
        least,
        most: 32,
        about,
    }
}

const fn maybe(name: &'static str, kind: Kind, about: &'static str) -> Argument {
    Argument {
        name,
        kind,
        least: 0,
        most: 1,
        about,
    }
}

const fn attr(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    about: &'static str,
) -> Attribute {
    Attribute {
        name,
        kind,
        default,
        required: false,
        about,
    }
}

const fn need(name: &'static str, kind: Kind, about: &'static str) -> Attribute {
    Attribute {
        name,
        kind,
        default: None,
        required: true,
        about,
    }
}

const fn exit(name: &'static str, about: &'static str) -> ExitRow {
    ExitRow { name, about }
}

const fn row(name: &'static str, about: &'static str) -> Row {
    Row {
        name,
        about,
        arguments: &[],
        attributes: &[],
        free: false,
        block: Block::None,
        exits: &[],
    }
}

impl Row {
    const fn takes(self, arguments: &'static [Argument]) -> Self {
        Self { arguments, ..self }
    }

    const fn with(self, attributes: &'static [Attribute]) -> Self {
        Self { attributes, ..self }
    }

    const fn block(self, block: Block) -> Self {
        Self { block, ..self }
    }

    const fn exits(self, exits: &'static [ExitRow]) -> Self {
        Self { exits, ..self }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The row of `name` among `rows`.
    pub(super) fn find(rows: &'static [Self], name: &str) -> Option<&'static Self> {
        rows.iter().find(|row| row.name == name)
    }
}

const BARGE_IN: Attribute = attr(
    "barge-in",
    Kind::Truth,
    Some("#true"),
    "a key stops it; with #false keys pressed meanwhile are lost",
);
const DIAL_EXITS: &[ExitRow] = &[
    exit("busy", "everybody is busy"),
    exit("no-answer", "nobody answered in time"),
    exit("failed", "refused, not registered, or no way there"),
    exit(
        "completed",
        "the callee hung up; without this exit the call ends",
    ),
];
const DIALLED: Argument = many("to", Kind::Callee, 0, "who is rung; several ring at once");
const ENDPOINT: Attribute = attr(
    "endpoint",
    Kind::Spoken,
    None,
    "instead of *to*: the endpoint of that name, such as \"{to}\"; one that does not exist leaves by `failed`",
);
const TRUNK: Attribute = attr(
    "trunk",
    Kind::Name(Named::Trunk),
    None,
    "the trunk of a number; without it the one the call came by",
);

/// What `record` may be asked, as in [`crate::call::RecordAsk`].
const RECORD_WORDS: &[&str] = &["start", "stop", "pause", "resume", "mask", "unmask"];

/// The steps of flows and menus.
pub(super) static STEPS: &[Row] = &[
    row("answer", "Answers the call; a call already answered goes on."),
    row("say", "Speaks a text. Before `answer` it is early media, which some carriers mute.")
        .takes(&[arg("text", Kind::Spoken, "what is said")])
        .with(&[
            attr("voice", Kind::Text, None, "a voice of the speech engine"),
            attr("lang", Kind::Text, None, "a language tag such as en-US"),
            BARGE_IN,
        ]),
    row("play", "Plays files one after the other.")
        .takes(&[many("file", Kind::File, 1, "names below the prompts folder")])
        .with(&[BARGE_IN]),
    row("gather", "Collects keys into `digits`. Answers the call first. Its block speaks before it listens.")
        .with(&[
            attr("digits", Kind::Whole(1, 32), Some("1"), "ends after so many keys"),
            attr("min", Kind::Whole(0, 32), Some("1"), "fewer keys leave by `invalid`"),
            attr("finish", Kind::Keys, None, "this key ends the input and is not part of it"),
            attr("timeout", Kind::Time, Some("5s"), "the wait for the first key"),
            attr("inter-digit", Kind::Time, Some("3s"), "the wait for each further key"),
            attr("retries", Kind::Whole(0, 10), Some("0"), "speaks and listens again so often before an exit"),
            attr("into", Kind::Variable, None, "the variable that keeps the keys, beside `digits`"),
        ])
        .block(Block::Prompts)
        .exits(&[
            exit("timeout", "no key came; without this exit the flow goes on"),
            exit("invalid", "fewer than `min` keys came; without this exit the flow goes on"),
        ]),
    row("menu", "Speaks a choice and waits for a key. Answers the call first. `gather` in its block sets the waits.")
        .takes(&[maybe("name", Kind::Text, "for people; a menu at the top of a file must have one")])
        .block(Block::Prompts)
        .exits(&[
            exit("\"1\"", "these keys were pressed; also \"*\", \"#\", \"12\""),
            exit("timeout", "no key came; `max=3`: the third time, before that the menu is said again"),
            exit("invalid", "no exit has these keys; `max=3` likewise"),
            exit("hangup", "the caller hung up in this menu; only `set`, `if` and `end`"),
        ]),
    row("set", "Sets variables: `set lang=\"en\" tries=(cel)\"vars.tries + 1\"`.").free(),
    row("if", "Takes its block if the condition holds, else the block of an `else` on the next line.")
        .takes(&[arg("condition", Kind::Cel, "over from, to, trunk, digits, vars, time and hours(…)")])
        .block(Block::Steps),
    row("goto", "Goes to a flow or menu and does not come back.")
        .takes(&[arg("flow", Kind::Name(Named::Flow), "where to")]),
    row("queue", "Waits in a queue until the call leaves it. Answers the call first. A silent wait never ends it: `max-wait` does.")
        .takes(&[arg("queue", Kind::Name(Named::Queue), "which")])
        .with(&[
            attr("priority", Kind::Whole(-100, 100), Some("0"), "higher is served first"),
            attr("max-wait", Kind::Time, None, "then leaves by `max-wait`; without it the queue's own"),
        ])
        .block(Block::Exits)
        .exits(&[
            exit("max-wait", "waited that long"),
            exit("full", "the queue has no place"),
            exit("no-agents", "nobody serves the queue"),
            exit("completed", "the agent hung up; without this exit the call ends"),
            exit("\"1\"", "this key was pressed while nobody served the call; also \"*\" and \"#\""),
        ]),
    row("dial", "Rings somebody and joins both until one hangs up. A refusal without its exit goes on to the next step.")
        .takes(&[DIALLED])
        .with(&[
            ENDPOINT,
            TRUNK,
            attr("timeout", Kind::Time, Some("30s"), "how long it rings"),
            attr("caller-id", Kind::Spoken, None, "the number shown, if not the caller's"),
        ])
        .block(Block::Exits)
        .exits(DIAL_EXITS),
    row("transfer", "Gives the call away: it ends when the other party ends it. A refusal goes on to the next step.")
        .takes(&[maybe("to", Kind::Callee, "to whom")])
        .with(&[ENDPOINT, TRUNK, attr("timeout", Kind::Time, Some("60s"), "how long it rings")]),
    row("conference", "Hears and is heard by all in the room of that name, which the first caller makes. Answers the call first. The call stays until its caller hangs up.")
        .takes(&[arg("name", Kind::Spoken, "which; may hold variables. 1 to 64 letters, digits, - _ + and .")])
        .with(&[
            attr("muted", Kind::Truth, Some("#false"), "enters unheard, until the API says otherwise"),
            attr("moderator", Kind::Truth, Some("#false"), "lets in those who wait"),
            attr("wait-for-moderator", Kind::Truth, Some("#false"), "hears music until a moderator is there"),
            attr("max", Kind::Whole(2, 5_000), Some("100"), "members at most; of the call that makes the room"),
            attr("record", Kind::Truth, Some("#false"), "the room is recorded; of the call that makes it"),
            attr("enter-sound", Kind::File, None, "all hear it when somebody comes: `beep` or a prompt file; of the call that makes the room"),
            attr("leave-sound", Kind::File, None, "the same when somebody goes"),
        ])
        .block(Block::Exits)
        .exits(&[
            exit("full", "the room has as many members as it may have"),
            exit("locked", "nobody more is let in"),
            exit("removed", "somebody put the caller out; without this exit the call ends"),
            exit("failed", "the name is none, or no media worker has a place"),
            exit("\"1\"", "this key was pressed in the room; also \"*\" and \"#\""),
        ]),
    row("consent", "Asks whether the call may be recorded, and starts the recording if so. Answers the call first. Sets `vars.consent` to yes or no. A block of `say` and `play` speaks the question.")
        .with(&[
            attr("yes", Kind::Keys, Some("1"), "the key that consents; with `implied=#true` no key is needed"),
            attr("no", Kind::Keys, Some("2"), "the key that declines"),
            attr("timeout", Kind::Time, Some("5s"), "the wait for a key"),
            attr("retries", Kind::Whole(0, 10), Some("1"), "asks again so often, after silence or another key"),
            attr("implied", Kind::Truth, Some("#false"), "whoever stays silent consents"),
            attr("otherwise", Kind::Choice(&["continue", "hangup"]), Some("continue"), "without the exit `declined`: goes on without a recording, or ends the call"),
        ])
        .block(Block::Prompts)
        .exits(&[exit("declined", "no consent; its steps instead of `otherwise`")]),
    row("record", "Starts, stops, pauses or resumes the recording; `mask` takes the keys that are pressed out of it and out of events, `unmask` leaves them in. The call must be answered.")
        .takes(&[arg("what", Kind::Choice(RECORD_WORDS), "")]),
    row("hangup", "Ends the call; before `answer` it is refused with the cause's SIP status.")
        .with(&[attr("cause", Kind::Cause, Some("normal"), "why")]),
    row("repeat", "Says the menu around it again."),
    row("end", "Ends an `on hangup` block."),
];

impl Row {
    const fn free(self) -> Self {
        Self { free: true, ..self }
    }
}

/// Steps, exits and attributes of the specification that are refused by name.
pub(super) static NOT_BUILT: &[(&str, &str)] = &[
    ("bot", "a bot's leg"),
    ("callback", "calling back instead of waiting"),
    ("listen", "speech recognition"),
    ("message", "text messages"),
    ("park", "parking by step"),
    ("pause", "a silence by step; play a silent file instead"),
    ("relax", "skills"),
    ("require", "skills"),
    ("script", "scripts"),
    ("send-digits", "sending keys"),
    ("speech", "speech recognition"),
    ("intent", "speech recognition"),
    ("transcribe", "speech recognition"),
    ("voicemail", "voicemail"),
    ("webhook", "webhooks in a flow"),
    ("moh", "an own file as music; use `music=` of the queue"),
    ("ewt", "announcing the expected wait"),
];

/// The nodes at the top of a file.
pub(super) static TOP: &[Row] = &[
    row("dialplan", "Names the version of the language and the time zone of `time`. One per file, first.")
        .with(&[
            need("version", Kind::Whole(1, 1), "the version of the language"),
            attr("tz", Kind::Zone, Some("UTC"), "the zone of `time` in conditions of this file"),
        ]),
    row("entry", "Leads calls into a flow. The exact number wins over the longest pattern, an endpoint's own entry over both.")
        .with(&[
            attr("did", Kind::Text, None, "the exact number that was called"),
            attr("pattern", Kind::Text, None, "the beginning of numbers, closed by `*`; `*` alone is the default"),
            attr("endpoint", Kind::Text, None, "calls made by this endpoint, whatever the number; `*` is any endpoint"),
            need("flow", Kind::Name(Named::Flow), "where they go"),
        ]),
    row("hours", "Opening hours, asked by `hours(\"name\")` in conditions.")
        .takes(&[arg("name", Kind::Text, "its name")])
        .with(&[attr("tz", Kind::Zone, Some("UTC"), "their time zone")])
        .block(Block::Nodes(HOURS)),
    row("flow", "Steps, one after the other. A flow that ends hangs up.")
        .takes(&[arg("name", Kind::Text, "its name")])
        .block(Block::Steps),
    row("menu", "A menu that can be the aim of `goto` and `entry`; see the step `menu`.")
        .takes(&[arg("name", Kind::Text, "its name")])
        .block(Block::Prompts),
    row("queue", "Where calls wait for agents.")
        .takes(&[arg("name", Kind::Text, "its name")])
        .with(&[
            attr("strategy", Kind::Choice(&["longest-idle"]), Some("longest-idle"), "who is offered the next call"),
            attr("ring-timeout", Kind::Time, Some("20s"), "how long an agent is rung before the next"),
            attr("wrap-up", Kind::Time, Some("10s"), "the pause after a call"),
            attr("max-wait", Kind::Time, None, "the longest wait; none is for ever"),
            attr("max-len", Kind::Whole(1, 10_000), Some("100"), "calls that may wait; more leave by `full`"),
            attr("without-agents", Kind::Choice(&["wait", "leave"]), Some("wait"), "what callers do while no agent is on duty; `leave` leaves by `no-agents`"),
            attr("music", Kind::Text, Some("default"), "what they hear: a name, or a file below the prompts folder"),
        ])
        .block(Block::Nodes(QUEUE)),
    row("test", "A call in virtual time, walked by `tandem test`.")
        .takes(&[arg("name", Kind::Text, "a sentence")])
        .block(Block::Nodes(TESTS)),
];

/// The lines of `hours`.
pub(super) static HOURS: &[Row] = &[
    row(
        "open",
        "Open on these days, or on that one date instead of its weekday's hours.",
    )
    .takes(&[
        arg(
            "days",
            Kind::Text,
            "mon, mon-fri, mon,wed, daily, or a date 2026-12-24",
        ),
        many(
            "range",
            Kind::Text,
            1,
            "09:00-17:00; past midnight: 22:00-02:00",
        ),
    ]),
    row("closed", "Closed all day on these dates.").takes(&[many(
        "date",
        Kind::Text,
        1,
        "2026-12-25",
    )]),
];

/// The lines of a queue.
pub(super) static QUEUE: &[Row] = &[
    row("agents", "Who serves it; without a line, nobody does.").takes(&[many(
        "agent",
        Kind::Name(Named::Agent),
        1,
        "names; `*` is every agent of the configuration",
    )]),
    row("announce", "Speaks to those who wait.").with(&[
        attr("every", Kind::Time, Some("45s"), "how often"),
        attr(
            "position",
            Kind::Truth,
            Some("#true"),
            "their place in the queue",
        ),
    ]),
];

/// The lines of a test.
pub(super) static TESTS: &[Row] = &[
    row("call", "Calls. First line of every test.").with(&[
        attr("from", Kind::Text, Some("+15550100"), "the caller's number"),
        attr(
            "to",
            Kind::Text,
            None,
            "the number called; without it the first entry's",
        ),
        attr(
            "at",
            Kind::Text,
            None,
            "the wall time: 2026-11-20T10:00:00Z",
        ),
        attr(
            "trunk",
            Kind::Text,
            Some("carrier"),
            "the trunk it comes by",
        ),
        attr(
            "endpoint",
            Kind::Text,
            None,
            "the endpoint that calls, instead of a trunk",
        ),
    ]),
    row("press", "Presses keys as soon as the plan listens.").takes(&[arg(
        "keys",
        Kind::Keys,
        "which",
    )]),
    row("wait", "Lets time pass, without a key.").takes(&[arg("time", Kind::Time, "how long")]),
    row(
        "agent",
        "What the agent does to whom the queue offers the call.",
    )
    .takes(&[arg(
        "does",
        Kind::Choice(&["answers", "declines", "hangs-up"]),
        "",
    )]),
    row("queue", "What the queue does: is full, or has nobody.").takes(&[arg(
        "is",
        Kind::Choice(&["full", "no-agents"]),
        "",
    )]),
    row("callee", "What the dialled party does.").takes(&[arg(
        "does",
        Kind::Choice(&["answers", "busy", "no-answer", "failed", "hangs-up"]),
        "",
    )]),
    row(
        "conference",
        "What the conference does: is full, is locked, puts the caller out.",
    )
    .takes(&[arg("is", Kind::Choice(&["full", "locked", "removed"]), "")]),
    row("hangup", "The caller hangs up."),
    row(
        "expect-say",
        "Speech that holds this text is heard from here on.",
    )
    .takes(&[arg("text", Kind::Text, "a part of it")]),
    row("expect-play", "This file is heard from here on.").takes(&[arg(
        "file",
        Kind::Text,
        "its name",
    )]),
    row("expect-queue", "The call enters this queue.")
        .takes(&[arg("queue", Kind::Text, "which")])
        .with(&[attr(
            "priority",
            Kind::Whole(-100, 100),
            None,
            "with this priority",
        )]),
    row("expect-conference", "The call enters this room.").takes(&[arg(
        "name",
        Kind::Text,
        "which",
    )]),
    row(
        "expect-dial",
        "The plan dials, or transfers to, this party.",
    )
    .takes(&[arg("to", Kind::Text, "an endpoint or number")]),
    row("expect-record", "The recording does that.").takes(&[arg(
        "what",
        Kind::Choice(RECORD_WORDS),
        "",
    )]),
    row("expect-set", "Variables have these values now.").free(),
    row("expect-hangup", "The plan ends the call.").with(&[attr(
        "cause",
        Kind::Cause,
        Some("normal"),
        "why",
    )]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialplan::fields::default_value;

    fn all_rows() -> impl Iterator<Item = &'static Row> {
        [STEPS, TOP, HOURS, QUEUE, TESTS].into_iter().flatten()
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for row in all_rows() {
            for attribute in row.attributes.iter().filter(|a| a.default.is_some()) {
                let value = default_value(attribute);
                assert!(value.is_some(), "{} {}", row.name, attribute.name);
            }
        }
    }

    #[test]
    fn nothing_is_both_built_and_refused() {
        for (name, _) in NOT_BUILT {
            assert!(all_rows().all(|row| row.name != *name), "{name}");
        }
    }
}
