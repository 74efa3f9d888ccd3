//! Conditions and expressions in CEL, with their types checked before a call meets them.
//!
//! The law: an expression that compiled names only what exists and has one type. It still may fail
//! when evaluated (`int("x")`, a division by zero): that is an [`Err`] for the run, never a panic.
//!
//! CEL has no side effects and no loops but over finite lists; with [`LENGTH_MAX`] an evaluation is
//! bounded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cel::{Context, Env, Program, Value as CelValue};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::diagnostic::Code;
use super::hours::{Hours, weekday_name};
use super::plan::Type;

mod typing;

use typing::Checker;

/// Characters of one expression.
const LENGTH_MAX: usize = 500;
/// Brackets within brackets, `?` and signs of one expression: each takes the parser of crate `cel`
/// some 170 kB of stack without optimisation, and threads have 2 MB.
const NESTING_MAX: usize = 8;

/// A compiled expression.
pub(super) struct Condition {
    program: Program,
    /// CEL's own functions, made once for a plan: it has dozens.
    env: Arc<Env>,
    /// The opening hours that it asks for.
    hours: BTreeSet<String>,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condition")
            .field("program", &self.program)
            .field("hours", &self.hours)
            .finish_non_exhaustive()
    }
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text of at most 4,000 characters.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Truth(bool),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
        }
    }
}

/// What an expression may see of a call.
#[derive(Debug)]
pub(super) struct Scope<'s> {
    pub(super) from: &'s str,
    pub(super) to: &'s str,
    pub(super) trunk: &'s str,
    pub(super) digits: &'s str,
    pub(super) variables: &'s BTreeMap<String, Value>,
    pub(super) types: &'s BTreeMap<String, Type>,
    pub(super) hours: &'s BTreeMap<String, Hours>,
    pub(super) at: Timestamp,
    pub(super) zone: &'s TimeZone,
}

/// What is declared where an expression stands.
pub(super) struct Declared<'d> {
    pub(super) env: &'d Arc<Env>,
    pub(super) variables: &'d BTreeMap<String, Type>,
    pub(super) hours: &'d BTreeSet<String>,
}

/// A mistake in an expression, `offset` characters from its beginning.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) fix: String,
}

impl Condition {
    /// Compiles `text` and gives its type.
    pub(super) fn compile(text: &str, declared: &Declared<'_>) -> Result<(Self, Type), Fault> {
        let size = if text.chars().count() > LENGTH_MAX {
            Some(format!("an expression has at most {LENGTH_MAX} characters"))
        } else if nesting(text) > NESTING_MAX {
            Some(format!(
                "an expression is nested at most {NESTING_MAX} deep"
            ))
        } else {
            None
        };
        if let Some(message) = size {
            return Err(Fault {
                offset: 0,
                code: Code::TooLarge,
                message,
                fix: "split it with `set`".into(),
            });
        }
        let program = declared
            .env
            .compile(text)
            .map_err(|errors| parse_fault(text, &errors))?;
        let mut checker = Checker::new(declared);
        let kind = checker.type_of(program.expression()).map_err(|wrong| {
            let offset = program.source_info().offset_for(wrong.id);
            Fault {
                offset: offset.map_or(0, |(start, _)| start as usize),
                code: wrong.code,
                message: wrong.message,
                fix: wrong.fix,
            }
        })?;
        let hours = checker.hours;
        Ok((
            Self {
                program,
                env: Arc::clone(declared.env),
                hours,
            },
            kind.plain(),
        ))
    }

    /// Its value for one call at one moment.
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        for (name, text) in [
            ("from", scope.from),
            ("to", scope.to),
            ("trunk", scope.trunk),
            ("digits", scope.digits),
        ] {
            context.add_variable_from_value(name, text.to_owned());
        }
        let unset = scope.types.iter().map(|(name, kind)| (name, zero(*kind)));
        let set = scope.variables.iter();
        let mut variables: HashMap<String, CelValue> = HashMap::new();
        variables.extend(unset.map(|(name, value)| (name.clone(), to_cel(&value))));
        variables.extend(set.map(|(name, value)| (name.clone(), to_cel(value))));
        context.add_variable_from_value("vars", variables);
        context.add_variable_from_value("time", local_time(scope));
        let ask = |name: &String| {
            let open = scope.hours.get(name).is_some_and(|h| h.is_open(scope.at));
            (name.clone(), open)
        };
        let open: HashMap<String, bool> = self.hours.iter().map(ask).collect();
        let hours = move |name: Arc<String>| open.get(&*name).copied().unwrap_or(false);
        let added = context.add_function("hours", hours);
        added.map_err(|error| error.to_string())?;
        match self.program.execute(&context) {
            Ok(CelValue::Bool(truth)) => Ok(Value::Truth(truth)),
            Ok(CelValue::Int(number)) => Ok(Value::Number(number)),
            Ok(CelValue::String(text)) => Ok(Value::Text(text.to_string())),
            Ok(other) => Err(format!("gave a {}", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// How deep an expression may make a parser go: the most open brackets, beside all `?` and the
/// longest run of signs. Brackets within texts count too, which errs on the safe side.
fn nesting(text: &str) -> usize {
    let (mut open, mut deepest, mut run, mut longest, mut choices) = (0usize, 0, 0, 0, 0);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        run = if matches!(c, '!' | '-') { run + 1 } else { 0 };
        longest = longest.max(run);
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest + longest + choices
}

/// The value of a variable that was never set.
pub(super) fn zero(kind: Type) -> Value {
    match kind {
        Type::Text | Type::Any => Value::Text(String::new()),
        Type::Number => Value::Number(0),
        Type::Truth => Value::Truth(false),
    }
}

fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Text(text) => text.clone().into(),
        Value::Number(number) => CelValue::Int(*number),
        Value::Truth(truth) => CelValue::Bool(*truth),
    }
}

fn local_time(scope: &Scope<'_>) -> HashMap<String, CelValue> {
    let local = scope.at.to_zoned(scope.zone.clone()).datetime();
    let (hour, minute) = (local.hour(), local.minute());
    HashMap::from([
        ("hour".to_owned(), CelValue::Int(hour.into())),
        ("minute".to_owned(), CelValue::Int(minute.into())),
        ("clock".to_owned(), format!("{hour:02}:{minute:02}").into()),
        ("date".to_owned(), local.date().to_string().into()),
        (
            "weekday".to_owned(),
            weekday_name(local.date().weekday()).to_owned().into(),
        ),
    ])
}

fn parse_fault(text: &str, errors: &cel::ParseErrors) -> Fault {
    let first = errors.errors.first();
    let column = first.map_or(1, |e| e.pos.1).max(1) as usize - 1;
    let message = first.map_or("", |e| e.msg.as_str());
    let message = message
        .lines()
        .next()
        .unwrap_or("")
        .replace("Syntax error: ", "");
    Fault {
        offset: column.min(text.chars().count()),
        code: Code::BadCondition,
        message: format!("the expression does not parse: {message}"),
        fix: "texts within it stand in single quotes: \"vars.lang == 'en'\"".into(),
    }
}
