//! Words that are nearly others.

/// Whether a word is another one with a slip of the pen or two: letters too many, missing, or others.
#[must_use]
pub fn is_close(one: &str, two: &str) -> bool {
    const SLIPS: usize = 2;
    if one.len().abs_diff(two.len()) > SLIPS {
        return false;
    }
    let mut costs: Vec<usize> = (0..=two.len()).collect();
    for (row, left) in one.bytes().enumerate() {
        let mut next = vec![row + 1];
        for ((right, above), corner) in two.bytes().zip(costs.iter().skip(1)).zip(&costs) {
            let beside = next.last().copied().unwrap_or_default();
            next.push((beside.min(*above) + 1).min(corner + usize::from(left != right)));
        }
        costs = next;
    }
    costs.last().is_some_and(|cost| *cost <= SLIPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slips_are_close() {
        for (one, two) in [("meshConfg", "meshConfig"), ("gprcAddr", "grpcAddr"), ("same", "same")] {
            assert!(is_close(one, two), "{one} {two}");
        }
        for (one, two) in [("domain", "clusterID"), ("abc", "abcdef"), ("meshConfig", "configDir")] {
            assert!(!is_close(one, two), "{one} {two}");
        }
    }
}
