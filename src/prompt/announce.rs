//! The words of position announcements, in the languages that ship.

use crate::call::Prompt;

/// Says the caller's place in a queue; 1 is next. `lang` is a BCP 47 tag; English for one unknown.
pub fn position(place: usize, lang: Option<&str>) -> Prompt {
    let language = lang.and_then(|tag| tag.split('-').next()).unwrap_or("en");
    let text = match (language, place) {
        ("de", ..=1) => "Sie sind als Nächstes an der Reihe.".to_owned(),
        ("de", _) => format!("Sie sind Anrufer Nummer {place}."),
        ("fr", ..=1) => "Vous êtes le prochain appelant.".to_owned(),
        ("fr", _) => format!("Vous êtes l'appelant numéro {place}."),
        ("es", ..=1) => "Usted es la siguiente llamada.".to_owned(),
        ("es", _) => format!("Usted es el número {place} en la cola."),
        (_, ..=1) => "You are the next caller.".to_owned(),
        (_, _) => format!("You are caller number {place}."),
    };
    Prompt::Speech {
        text,
        voice: None,
        lang: lang.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::position;
    use crate::call::Prompt;

    #[test]
    fn a_place_is_said_in_the_language_asked_for_and_in_english_otherwise() {
        let text = |place, lang| match position(place, lang) {
            Prompt::Speech { text, .. } => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(3, None), "You are caller number 3.");
        assert_eq!(text(1, Some("en-GB")), "You are the next caller.");
        assert_eq!(text(2, Some("de-AT")), "Sie sind Anrufer Nummer 2.");
        assert_eq!(text(2, Some("tlh")), "You are caller number 2.");
    }
}
