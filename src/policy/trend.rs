//! What a row of sizes says: a picture, how far the newest is off, and where it is going.

/// Sizes before the newest that it is compared with.
pub const COMPARED: usize = 7;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One bar a value, oldest first, from nothing to the largest: so equal sizes are equal bars, and a database that
/// halved looks it.
pub fn sparkline(values: &[u64]) -> String {
    let largest = values.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &u64| {
        let step = u128::from(*value).saturating_mul(7).div_ceil(u128::from(largest));
        BARS.get(usize::try_from(step).unwrap_or(0)).copied().unwrap_or('█')
    };
    values.iter().map(bar).collect()
}

/// The middle of the values; of an even number the lower middle. `None` of none.
pub fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// By what part the newest differs from the median of up to seven before it: -0.5 is half of it. `None` where there is
/// too little to compare with.
pub fn deviation(oldest_first: &[u64]) -> Option<f64> {
    const FEWEST: usize = 3;
    let (newest, before) = oldest_first.split_last()?;
    let before = before.get(before.len().saturating_sub(COMPARED)..).unwrap_or_default();
    let median = median(before).filter(|median| before.len() >= FEWEST && *median > 0)?;
    Some((*newest as f64 - median as f64) / median as f64)
}

/// Bytes that one backup grows from one to the next: the median of the steps, so that one leap is no trend.
pub fn growth(oldest_first: &[u64]) -> f64 {
    let mut steps: Vec<f64> =
        oldest_first.iter().zip(oldest_first.iter().skip(1)).map(|(one, next)| *next as f64 - *one as f64).collect();
    steps.sort_unstable_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_bar_a_value() {
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[0, 1, 50, 100]), "▁▂▅█");
        assert_eq!(sparkline(&[5, 5, 5]), "███");
        assert_eq!(sparkline(&[u64::MAX, 0]), "█▁");
    }

    #[test]
    fn a_size_is_judged_by_the_seven_before_it() {
        assert_eq!(deviation(&[100, 100]), None, "too little to compare with");
        assert_eq!(deviation(&[100, 110, 90, 40]), Some(-0.6));
        let mut sizes = vec![1; 50];
        sizes.extend([100; 7]);
        sizes.push(151);
        assert_eq!(deviation(&sizes), Some(0.51), "older ones than seven do not count");
        assert_eq!(deviation(&[0, 0, 0, 5]), None);
    }

    #[test]
    fn one_leap_is_no_growth() {
        assert_eq!(growth(&[10, 12, 14, 1000, 1002]), 2.0);
        assert_eq!(growth(&[7]), 0.0);
    }
}
