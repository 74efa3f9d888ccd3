//! The name that was perhaps meant.

/// The nearest of `names` to `word`, if it is near enough to be a slip of the finger: a third of its
/// letters, one at least, and one more.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let far = (word.chars().count() / 3).max(1) + 1;
    let mut best: Option<(usize, &str)> = None;
    for name in names.into_iter().take(NAMES_MAX) {
        let distance = edits(word, name);
        if distance <= far && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Levenshtein's distance, with a swap of neighbours counted as one, over at most 64 characters.
pub fn edits(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut rows = vec![vec![0usize; right.len() + 1]; left.len() + 1];
    let cell = |rows: &[Vec<usize>], i: usize, j: usize| {
        let row = rows.get(i).and_then(|row| row.get(j));
        row.copied().unwrap_or(usize::MAX / 2)
    };
    for i in 0..=left.len() {
        for j in 0..=right.len() {
            let distance = if i == 0 || j == 0 {
                i + j
            } else {
                let (a, b) = (left.get(i - 1), right.get(j - 1));
                let swapped = i > 1 && j > 1 && a == right.get(j - 2) && left.get(i - 2) == b;
                let swap = if swapped {
                    cell(&rows, i - 2, j - 2) + 1
                } else {
                    usize::MAX
                };
                (cell(&rows, i - 1, j) + 1)
                    .min(cell(&rows, i, j - 1) + 1)
                    .min(cell(&rows, i - 1, j - 1) + usize::from(a != b))
                    .min(swap)
            };
            if let Some(slot) = rows.get_mut(i).and_then(|row| row.get_mut(j)) {
                *slot = distance;
            }
        }
    }
    cell(&rows, left.len(), right.len())
}

/// Names compared for a suggestion: 10,000 of them must not make each slip cost a second.
const NAMES_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_one_edit_and_a_far_word_has_no_nearest() {
        for (a, b, want) in [("anna", "nana", 1), ("desk7", "desk", 1), ("", "abc", 3)] {
            assert_eq!((edits(a, b), edits(b, a)), (want, want), "{a} {b}");
        }
        assert_eq!(
            nearest("reciption", ["sales", "reception"]),
            Some("reception")
        );
        assert_eq!(nearest("sales", ["reception"]), None);
    }
}
