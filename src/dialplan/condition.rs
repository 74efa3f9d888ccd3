//! Conditions and expressions in CEL, with their types checked before a call meets them.
//!
//! The law: an expression that compiled names only what exists and has one type. It still may fail
//! when evaluated (`int("x")`, a division by zero): that is an [`Err`] for the run, never a panic.
//!
//! CEL has no side effects and no loops but over finite lists; with [`LENGTH_MAX`] an evaluation is
//! bounded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, Env, Program, Value as CelValue};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::diagnostic::{Code, suggest};
use super::hours::{Hours, weekday_name};
use super::plan::Type;

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
        let mut checker = Checker {
            declared,
            locals: Vec::new(),
            hours: BTreeSet::new(),
        };
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

/// The fields of `time`.
const TIME_FIELDS: [(&str, Kind); 5] = [
    ("hour", Kind::Number),
    ("minute", Kind::Number),
    ("clock", Kind::Text),
    ("date", Kind::Text),
    ("weekday", Kind::Text),
];

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

/// The types within expressions; a variable has one of [`Type`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    Real,
    List,
    Any,
}

impl Kind {
    fn of(kind: Type) -> Self {
        match kind {
            Type::Text => Self::Text,
            Type::Number => Self::Number,
            Type::Truth => Self::Truth,
            Type::Any => Self::Any,
        }
    }

    fn plain(self) -> Type {
        match self {
            Self::Text => Type::Text,
            Self::Number => Type::Number,
            Self::Truth => Type::Truth,
            Self::Real | Self::List | Self::Any => Type::Any,
        }
    }

    fn fits(self, wanted: Self) -> bool {
        self == wanted || self == Self::Any || wanted == Self::Any
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "whole number",
            Self::Truth => "truth",
            Self::Real => "real number",
            Self::List => "list",
            Self::Any => "value",
        }
    }
}

struct Wrong {
    id: u64,
    code: Code,
    message: String,
    fix: String,
}

fn wrong(id: u64, message: String, fix: &str) -> Wrong {
    Wrong {
        id,
        code: Code::BadCondition,
        message,
        fix: fix.to_owned(),
    }
}

struct Checker<'d> {
    declared: &'d Declared<'d>,
    /// Variables bound by `exists` and the like.
    locals: Vec<String>,
    hours: BTreeSet<String>,
}

/// Name, whether it is called on its first argument, the types of the arguments, the result.
type Function = (&'static str, bool, &'static [Kind], Kind);

const FUNCTIONS: &[Function] = &[
    ("startsWith", true, &[Kind::Text, Kind::Text], Kind::Truth),
    ("endsWith", true, &[Kind::Text, Kind::Text], Kind::Truth),
    ("contains", true, &[Kind::Text, Kind::Text], Kind::Truth),
    ("size", false, &[Kind::Any], Kind::Number),
    ("int", false, &[Kind::Any], Kind::Number),
    ("string", false, &[Kind::Any], Kind::Text),
    ("hours", false, &[Kind::Text], Kind::Truth),
    (
        operators::LOGICAL_AND,
        false,
        &[Kind::Truth, Kind::Truth],
        Kind::Truth,
    ),
    (
        operators::LOGICAL_OR,
        false,
        &[Kind::Truth, Kind::Truth],
        Kind::Truth,
    ),
    (operators::LOGICAL_NOT, false, &[Kind::Truth], Kind::Truth),
    (
        operators::SUBSTRACT,
        false,
        &[Kind::Number, Kind::Number],
        Kind::Number,
    ),
    (
        operators::MULTIPLY,
        false,
        &[Kind::Number, Kind::Number],
        Kind::Number,
    ),
    (
        operators::DIVIDE,
        false,
        &[Kind::Number, Kind::Number],
        Kind::Number,
    ),
    (
        operators::MODULO,
        false,
        &[Kind::Number, Kind::Number],
        Kind::Number,
    ),
    (operators::NEGATE, false, &[Kind::Number], Kind::Number),
    (operators::IN, false, &[Kind::Any, Kind::List], Kind::Truth),
    (
        operators::NOT_STRICTLY_FALSE,
        false,
        &[Kind::Any],
        Kind::Truth,
    ),
];

impl Checker<'_> {
    fn type_of(&mut self, expression: &IdedExpr) -> Result<Kind, Wrong> {
        let id = expression.id;
        match &expression.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Kind::Truth,
                LiteralValue::Int(_) => Kind::Number,
                LiteralValue::String(_) => Kind::Text,
                LiteralValue::Double(_) => Kind::Real,
                _ => Kind::Any,
            }),
            Expr::Ident(name) => self.variable(id, name),
            Expr::Select(select) => self.field(id, &select.operand, &select.field, select.test),
            Expr::Call(call) => {
                let target = call.target.as_deref();
                let arguments: Vec<&IdedExpr> = target.into_iter().chain(&call.args).collect();
                self.call(id, &call.func_name, target.is_some(), &arguments)
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.type_of(element)?;
                }
                Ok(Kind::List)
            }
            Expr::Comprehension(each) => {
                self.type_of(&each.iter_range)?;
                let before = self.locals.len();
                self.locals
                    .extend([each.iter_var.clone(), each.accu_var.clone()]);
                self.locals.extend(each.iter_var2.clone());
                for part in [&each.accu_init, &each.loop_cond, &each.loop_step] {
                    self.type_of(part)?;
                }
                let result = self.type_of(&each.result);
                self.locals.truncate(before);
                result
            }
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => Err(wrong(
                id,
                "this kind of expression has no use here".into(),
                "",
            )),
        }
    }

    fn variable(&self, id: u64, name: &str) -> Result<Kind, Wrong> {
        if self.locals.iter().any(|local| local == name) {
            return Ok(Kind::Any);
        }
        match name {
            "from" | "to" | "trunk" | "digits" => Ok(Kind::Text),
            "vars" | "time" => Err(wrong(
                id,
                format!("`{name}` has fields and is no value"),
                "write vars.name, or time.hour",
            )),
            _ if self.declared.variables.contains_key(name) => Err(Wrong {
                id,
                code: Code::UnknownVariable,
                message: format!("there is no variable `{name}` here"),
                fix: format!("did you mean `vars.{name}`?"),
            }),
            _ => Err(Wrong {
                id,
                code: Code::UnknownVariable,
                message: format!("there is no variable `{name}`"),
                fix: suggest(name, ["from", "to", "trunk", "digits", "vars", "time"], ""),
            }),
        }
    }

    fn field(&self, id: u64, of: &IdedExpr, field: &str, test: bool) -> Result<Kind, Wrong> {
        let Expr::Ident(name) = &of.expr else {
            return Err(wrong(id, format!("nothing here has a field `{field}`"), ""));
        };
        let known = match name.as_str() {
            "vars" => self
                .declared
                .variables
                .get(field)
                .map(|kind| Kind::of(*kind)),
            "time" => TIME_FIELDS
                .iter()
                .find(|row| row.0 == field)
                .map(|row| row.1),
            _ => {
                self.variable(of.id, name)?;
                return Err(wrong(id, format!("`{name}` has no fields"), ""));
            }
        };
        let fields: Vec<&str> = match name.as_str() {
            "vars" => self.declared.variables.keys().map(String::as_str).collect(),
            _ => TIME_FIELDS.iter().map(|row| row.0).collect(),
        };
        match known {
            Some(_) if test => Ok(Kind::Truth),
            Some(kind) => Ok(kind),
            None => Err(Wrong {
                id,
                code: Code::UnknownVariable,
                message: format!("there is no `{name}.{field}`"),
                fix: suggest(field, fields, "no step sets a variable of that name"),
            }),
        }
    }

    fn call(
        &mut self,
        id: u64,
        name: &str,
        member: bool,
        arguments: &[&IdedExpr],
    ) -> Result<Kind, Wrong> {
        let mut kinds = Vec::with_capacity(arguments.len());
        for argument in arguments {
            kinds.push(self.type_of(argument)?);
        }
        if let Some(result) = overloaded(id, name, &kinds)? {
            return Ok(result);
        }
        let Some((_, as_member, wanted, result)) = FUNCTIONS.iter().find(|f| f.0 == name) else {
            let names = FUNCTIONS.iter().map(|f| f.0).filter(|n| n.is_ascii());
            let names = names.filter(|n| n.starts_with(|c: char| c.is_ascii_alphabetic()));
            return Err(Wrong {
                id,
                code: Code::UnknownVariable,
                message: format!("there is no function `{name}`"),
                fix: suggest(name, names, ""),
            });
        };
        if wanted.len() != kinds.len() || *as_member != member {
            let usage = match as_member {
                true => format!("write x.{name}(y)"),
                false => format!("write {name}(x)"),
            };
            return Err(wrong(
                id,
                format!("`{name}` is not called like this"),
                &usage,
            ));
        }
        let pairs = arguments.iter().zip(kinds.iter().zip(*wanted));
        for (argument, (kind, wanted)) in pairs {
            if !kind.fits(*wanted) {
                let shown = display_name(name);
                let message = format!("{shown} wants a {}, not a {}", wanted.name(), kind.name());
                return Err(wrong(argument.id, message, conversion(*wanted)));
            }
        }
        if name == "hours" {
            self.ask_hours(arguments)?;
        }
        Ok(*result)
    }

    /// `hours("name")`: the name stands there as a text, so that it can be checked.
    fn ask_hours(&mut self, arguments: &[&IdedExpr]) -> Result<(), Wrong> {
        let Some(argument) = arguments.first() else {
            return Ok(());
        };
        let Expr::Literal(LiteralValue::String(name)) = &argument.expr else {
            let message = "`hours` wants a name in quotes".to_owned();
            return Err(wrong(argument.id, message, "write hours('office')"));
        };
        let name = name.inner().to_owned();
        if !self.declared.hours.contains(&name) {
            return Err(Wrong {
                id: argument.id,
                code: Code::UnknownHours,
                message: format!("there are no hours `{name}`"),
                fix: suggest(
                    &name,
                    self.declared.hours.iter().map(String::as_str),
                    &format!(
                        "declare them: hours \"{name}\" {{ open \"mon-fri\" \"09:00-17:00\" }}"
                    ),
                ),
            });
        }
        self.hours.insert(name);
        Ok(())
    }
}

/// Operators over more than one type.
fn overloaded(id: u64, name: &str, kinds: &[Kind]) -> Result<Option<Kind>, Wrong> {
    use operators::{
        ADD, CONDITIONAL, EQUALS, GREATER, GREATER_EQUALS, LESS, LESS_EQUALS, NOT_EQUALS,
    };
    let same = |left: Kind, right: Kind, result: Kind| match left.fits(right) {
        true => Ok(Some(result)),
        false => {
            let shown = display_name(name);
            let (a, b) = (left.name(), right.name());
            let message = format!("{shown} cannot join a {a} and a {b}");
            Err(wrong(id, message, conversion(right)))
        }
    };
    match (name, kinds) {
        (EQUALS | NOT_EQUALS, [left, right]) => same(*left, *right, Kind::Truth),
        (LESS | LESS_EQUALS | GREATER | GREATER_EQUALS, [left, right]) => {
            same(*left, *right, Kind::Truth)
        }
        (ADD, [left, right]) => match left {
            Kind::Truth | Kind::List => same(*left, Kind::Number, Kind::Number),
            Kind::Any => Ok(Some(*right)),
            _ => same(*left, *right, *left),
        },
        (CONDITIONAL, [condition, left, right]) => match condition.fits(Kind::Truth) {
            true => same(*left, *right, *left),
            false => same(*condition, Kind::Truth, Kind::Truth),
        },
        _ => Ok(None),
    }
}

/// `&&` for `_&&_`.
fn display_name(name: &str) -> String {
    format!("`{}`", name.trim_matches(['_', '@']).replace('_', " "))
}

fn conversion(wanted: Kind) -> &'static str {
    match wanted {
        Kind::Number => "convert with int(…)",
        Kind::Text => "convert with string(…), or write the text in single quotes",
        Kind::Truth => "compare it: x == y",
        _ => "",
    }
}
