//! Which names on one list are easily taken for each other (Joint Commission NPSG.01.01.01: two identifiers). Pure.

use std::collections::HashMap;

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizer;
use icu_properties::props::{CanonicalCombiningClass, EnumeratedProperty as _};

/// For each name, whether another one is similar: the same words in any order; or family names one slip apart (a letter
/// more, less, other or swapped) and given names that begin alike. The last word is the family name.
pub(super) fn similar(names: &[&str]) -> Vec<bool> {
    let folded: Vec<Vec<String>> = names.iter().map(|name| words(name)).collect();
    let mut marks = vec![false; names.len()];
    // Who could be similar shares the first letter of the first word, or all words: nobody else is compared.
    let mut groups: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, words) in folded.iter().enumerate() {
        let initial = words.first().and_then(|word| word.chars().next()).map(String::from);
        let mut sorted = words.clone();
        sorted.sort();
        for group in initial.into_iter().chain([sorted.join(" ")]) {
            groups.entry(group).or_default().push(at);
        }
    }
    for group in groups.values() {
        for (nth, &one) in group.iter().enumerate() {
            for &other in &group[nth + 1..] {
                if !(marks[one] && marks[other]) && alike(&folded[one], &folded[other]) {
                    (marks[one], marks[other]) = (true, true);
                }
            }
        }
    }
    marks
}

fn alike(one: &[String], other: &[String]) -> bool {
    let (Some((family, given)), Some((other_family, other_given))) = (one.split_last(), other.split_last()) else {
        return false;
    };
    let mut sorted = [one.to_vec(), other.to_vec()];
    sorted.iter_mut().for_each(|words| words.sort());
    if sorted[0] == sorted[1] {
        return true;
    }
    let initial = |given: &[String]| given.first().and_then(|word| word.chars().next());
    let begins = initial(given);
    begins.is_some() && begins == initial(other_given) && one_slip(family, other_family)
}

/// Equal, or one slip apart where the word is long enough for a slip to be overlooked.
fn one_slip(one: &str, other: &str) -> bool {
    const LONG: usize = 4;
    let lengths = [one.chars().count(), other.chars().count()];
    let near = lengths[0].abs_diff(lengths[1]) <= 1 && lengths.iter().all(|length| *length >= LONG);
    one == other || (near && strsim::osa_distance(one, other) <= 1)
}

/// Folded by case, without marks, cut at what is no letter or digit.
fn words(name: &str) -> Vec<String> {
    let decomposed = DecomposingNormalizer::new_nfkd().normalize(name).into_owned();
    let plain = |c: &char| CanonicalCombiningClass::for_char(*c) == CanonicalCombiningClass::NotReordered;
    let bare: String = decomposed.chars().filter(plain).collect();
    let lower = CaseMapper::new().fold_string(&bare).into_owned();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::similar;

    #[test]
    fn names_that_are_taken_for_each_other() {
        let pairs = [
            ("Ruth Okafor", "Ruth Okafor", true),
            ("Ruth Okafor", "Rita Okafor", true),
            ("Ruth Okafor", "Ruth Okofor", true),
            ("Ruth Okafor", "OKAFOR, Ruth", true),
            ("Jose Nunez", "José Núñez", true),
            ("Anna Meier", "Anne Meyer", true),
            ("Anna Meier", "Anna Maier-Lutz", false),
            ("Ruth Okafor", "Ada Okafor", false),
            ("Ruth Okafor", "Ruth Lindqvist", false),
            ("Li Wu", "Lu Xu", false),
            ("Okafor", "Okafor", true),
            ("", "", false),
            ("…", "Ruth Okafor", false),
        ];
        for (one, other, expected) in pairs {
            assert_eq!(similar(&[one, other, "Zz Unlike"]), [expected, expected, false], "{one} / {other}");
        }
    }

    proptest! {
        #[test]
        fn any_names_have_an_answer_whatever_their_order(names in prop::collection::vec("\\PC{0,12}", 0..20)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let marks = similar(&names);
            let backwards: Vec<&str> = names.iter().rev().copied().collect();
            let mut again = similar(&backwards);
            again.reverse();
            prop_assert_eq!(marks, again);
        }
    }
}
