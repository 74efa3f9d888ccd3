//! Agents as an operator writes them: `[agents.NAME]`.

use super::{AgentConfig, AgentId, Wish};
use crate::config::{ConfigError, Section};

impl AgentConfig {
    /// Reads every agent of the `agents` section.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value: the first mistake found.
    pub fn read_all(agents: Section) -> Result<Vec<Self>, ConfigError> {
        let read = |(name, section): (String, Section)| Self::read(&name, section);
        agents.sections()?.into_iter().map(read).collect()
    }

    fn read(name: &str, mut file: Section) -> Result<Self, ConfigError> {
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err(ConfigError::Value {
                key: file.path().to_owned(),
                rule: "a name of 1 to 64 bytes".to_owned(),
                value: format!("{name:?}"),
            });
        }
        let endpoint = file.text("endpoint")?.unwrap_or_else(|| name.to_owned());
        let wish = match file.boolean("away")? {
            Some(true) => Wish::Away,
            Some(false) | None => Wish::Available,
        };
        // Read where passwords are compared.
        file.secret("password_hash")?;
        file.finish()?;
        Ok(Self {
            id: AgentId::new(name),
            endpoint,
            wish,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<AgentConfig>, ConfigError> {
        AgentConfig::read_all(Section::from_toml(text.parse().unwrap()))
    }

    #[test]
    fn an_agent_rings_at_the_endpoint_of_his_name_unless_told_otherwise() {
        let agents = read("[anna]\n[bob]\nendpoint = \"desk2\"\naway = true").unwrap();
        let seen: Vec<_> = agents
            .iter()
            .map(|a| (a.id.as_str(), a.endpoint.as_str(), a.wish))
            .collect();
        let want = [
            ("anna", "anna", Wish::Available),
            ("bob", "desk2", Wish::Away),
        ];
        assert_eq!(seen, want);
    }

    #[test]
    fn a_mistake_is_refused_by_its_key() {
        let table = [
            (
                "[anna]\nendpont = \"x\"",
                "anna.endpont: no such key; did you mean endpoint?",
            ),
            (
                "[anna]\naway = \"yes\"",
                "anna.away: want true or false, have \"yes\"",
            ),
            ("anna = 1", "anna: want a table, have 1"),
        ];
        for (text, want) in table {
            assert_eq!(read(text).unwrap_err().to_string(), want);
        }
    }
}
