//! Counts of what followed what, sparse. In come pairs; shares go through and come out leaning on the counts.

/// No count or pseudo-count is larger: the sums of many stay exact enough.
pub(super) const COUNT_MAX: f64 = 1e15;

/// What followed a symbol and how often, in the order of the symbols, each once.
pub(super) type ProbabilityRow = Vec<(u16, f64)>;

/// For each symbol what followed it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TransitionTable {
    rows: Vec<ProbabilityRow>,
    /// By symbol, how often it followed anything: the sums of the rows' entries, kept so that an answer need not look at all.
    arrivals: Vec<f64>,
}

impl TransitionTable {
    pub(super) fn new(symbols: u16) -> Self {
        Self { rows: vec![Vec::new(); usize::from(symbols)], arrivals: vec![0.0; usize::from(symbols)] }
    }

    /// From rows that were read from outside; none if they are no counts over the alphabet.
    pub(super) fn of(symbols: u16, rows: Vec<ProbabilityRow>) -> Option<Self> {
        let mut arrivals = vec![0.0; usize::from(symbols)];
        let mut sound = rows.len() == arrivals.len();
        for row in &rows {
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

    /// Both symbols are of the alphabet.
    pub(super) fn add(&mut self, from: u16, to: u16, weight: f64) {
        let row = &mut self.rows[usize::from(from)];
        match row.binary_search_by_key(&to, |(to, _)| *to) {
            Ok(place) => row[place].1 += weight,
            Err(place) => row.insert(place, (to, weight)),
        }
        self.arrivals[usize::from(to)] += weight;
    }

    /// Shares lean on what followed `last`; they stay as they are without it.
    pub(super) fn blend(&self, shares: &mut [f64], last: Option<u16>, above: f64) {
        if let Some(row) = last.and_then(|last| self.rows.get(usize::from(last))) {
            blend(shares, row.iter().copied(), above);
        }
    }

    /// Shares lean on what followed anything.
    pub(super) fn blend_marginal(&self, shares: &mut [f64], above: f64) {
        blend(shares, (0..self.symbols()).zip(self.arrivals.iter().copied()), above);
    }
}

/// `share = (count + above * share) / (counts + above)`, `above` being greater than 0 and symbols of the alphabet.
pub(super) fn blend(shares: &mut [f64], counts: impl Iterator<Item = (u16, f64)> + Clone, above: f64) {
    let total: f64 = counts.clone().map(|(_, count)| count).sum::<f64>() + above;
    shares.iter_mut().for_each(|share| *share *= above / total);
    counts.for_each(|(symbol, count)| shares[usize::from(symbol)] += count / total);
}
