//! The type of every part of an expression, before a call meets it.

use std::collections::BTreeSet;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::super::diagnostic::{Code, suggest};
use super::super::plan::Type;
use super::Declared;

/// The fields of `time`.
const TIME_FIELDS: [(&str, Kind); 5] = [
    ("hour", Kind::Number),
    ("minute", Kind::Number),
    ("clock", Kind::Text),
    ("date", Kind::Text),
    ("weekday", Kind::Text),
];

/// The types within expressions; a variable has one of [`Type`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

    pub(super) fn plain(self) -> Type {
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

pub(super) struct Wrong {
    pub(super) id: u64,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) fix: String,
}

fn wrong(id: u64, message: String, fix: &str) -> Wrong {
    Wrong {
        id,
        code: Code::BadCondition,
        message,
        fix: fix.to_owned(),
    }
}

pub(super) struct Checker<'d> {
    declared: &'d Declared<'d>,
    /// Variables bound by `exists` and the like.
    locals: Vec<String>,
    pub(super) hours: BTreeSet<String>,
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

impl<'d> Checker<'d> {
    pub(super) fn new(declared: &'d Declared<'d>) -> Self {
        Self {
            declared,
            locals: Vec::new(),
            hours: BTreeSet::new(),
        }
    }

    pub(super) fn type_of(&mut self, expression: &IdedExpr) -> Result<Kind, Wrong> {
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
