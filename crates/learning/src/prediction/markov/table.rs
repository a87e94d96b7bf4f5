//! Sparse table of transition counts, and the smoothing of probabilities by it.

/// Largest count or pseudo-count: sums of many stay exact enough in f64.
pub(super) const COUNT_MAX: f64 = 1e15;

/// Successors of a symbol with their counts, in ascending order, each once.
pub(super) type ProbabilityRow = Vec<(u16, f64)>;

/// Transition counts by first symbol.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TransitionTable {
    rows: Vec<ProbabilityRow>,
    /// Per symbol, how often it followed anything: column sums, stored so that a prediction does not read the whole table.
    arrivals: Vec<f64>,
}

impl TransitionTable {
    pub(super) fn new(symbols: u16) -> Self {
        Self { rows: vec![Vec::new(); usize::from(symbols)], arrivals: vec![0.0; usize::from(symbols)] }
    }

    /// Creates a table from decoded rows; `None` if they are not counts over the alphabet.
    pub(super) fn of(symbols: u16, rows: Vec<ProbabilityRow>) -> Option<Self> {
        let mut arrivals = vec![0.0; usize::from(symbols)];
        let mut sound = rows.len() == arrivals.len();
        for row in &rows {
            // `add` finds symbols by bisection, which relies on their order.
            sound &= row.windows(2).all(|two| two[0].0 < two[1].0);
            for (to, weight) in row {
                sound &= (0.0..=COUNT_MAX).contains(weight);
                *arrivals.get_mut(usize::from(*to))? += weight;
            }
        }
        sound.then_some(Self { rows, arrivals })
    }

    pub(super) fn rows(&self) -> &[ProbabilityRow] {
        &self.rows
    }

    pub(super) fn symbols(&self) -> u16 {
        self.rows.len() as u16
    }

    /// Adds a count; both symbols must be of the alphabet.
    pub(super) fn add(&mut self, from: u16, to: u16, weight: f64) {
        let row = &mut self.rows[usize::from(from)];
        match row.binary_search_by_key(&to, |(to, _)| *to) {
            Ok(index) => row[index].1 += weight,
            Err(index) => row.insert(index, (to, weight)),
        }
        self.arrivals[usize::from(to)] += weight;
    }

    /// Smooths the row of `last` towards `probabilities`, in place; unchanged without `last`.
    pub(super) fn blend(&self, probabilities: &mut [f64], last: Option<u16>, pseudo_count: f64) {
        if let Some(row) = last.and_then(|last| self.rows.get(usize::from(last))) {
            blend(probabilities, row.iter().copied(), pseudo_count);
        }
    }

    /// Smooths the marginal towards `probabilities`, in place.
    pub(super) fn blend_marginal(&self, probabilities: &mut [f64], pseudo_count: f64) {
        blend(probabilities, (0..self.symbols()).zip(self.arrivals.iter().copied()), pseudo_count);
    }
}

/// Computes `p = (count + k p) / (sum of counts + k)` in place, for a pseudo-count `k` above 0 and symbols of the alphabet.
pub(super) fn blend(
    probabilities: &mut [f64],
    counts: impl Iterator<Item = (u16, f64)> + Clone,
    pseudo_count: f64,
) {
    let total: f64 = counts.clone().map(|(_, count)| count).sum::<f64>() + pseudo_count;
    // Scaled before anything is added: `counts` may name a symbol several times.
    probabilities.iter_mut().for_each(|probability| *probability *= pseudo_count / total);
    counts.for_each(|(symbol, count)| probabilities[usize::from(symbol)] += count / total);
}
