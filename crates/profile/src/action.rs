//! Actions of a user. Ten are built in; a shop can configure more, which share the kind [`ActionKind::Custom`] and are
//! distinguished by name.

use crate::id::{TextError, check_id};
use serde::{Deserialize, Serialize};

/// Maximum length of the name of a custom action, in bytes.
pub const CUSTOM_ACTION_MAX_BYTES: usize = 32;

/// Action of a user, with the name of a custom one.
///
/// ```
/// use portrait_profile::{Action, ActionKind, CustomAction};
///
/// let quiz = Action::Custom(CustomAction::parse("quiz")?);
/// assert_eq!((quiz.kind(), quiz.name()), (ActionKind::Custom, "quiz"));
/// assert_eq!(Action::AddToCart.name(), "add_to_cart");
/// # Ok::<(), portrait_profile::TextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// View of an item's page.
    View,
    /// Search with a query.
    Search,
    /// Click on an item in a list, an advertisement or a recommendation.
    Click,
    /// Item added to the cart.
    AddToCart,
    /// Item removed from the cart.
    RemoveFromCart,
    /// Item marked as a favourite.
    Favorite,
    /// Purchase of an item.
    Purchase,
    /// Return of an item.
    Refund,
    /// Review of an item.
    Review,
    /// Item shared with another person.
    Share,
    /// Custom action of the shop.
    Custom(CustomAction),
}

/// Name of a custom action: an id of at most [`CUSTOM_ACTION_MAX_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CustomAction(Box<str>);

/// Action without the name of a custom one; transitions are counted between kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum ActionKind {
    /// Kind of [`Action::View`].
    View,
    /// Kind of [`Action::Search`].
    Search,
    /// Kind of [`Action::Click`].
    Click,
    /// Kind of [`Action::AddToCart`].
    AddToCart,
    /// Kind of [`Action::RemoveFromCart`].
    RemoveFromCart,
    /// Kind of [`Action::Favorite`].
    Favorite,
    /// Kind of [`Action::Purchase`].
    Purchase,
    /// Kind of [`Action::Refund`].
    Refund,
    /// Kind of [`Action::Review`].
    Review,
    /// Kind of [`Action::Share`].
    Share,
    /// Any of the custom actions.
    Custom,
}

impl CustomAction {
    /// Parses an id of at most [`CUSTOM_ACTION_MAX_BYTES`].
    ///
    /// # Errors
    /// If the text is no id or is too long.
    pub fn parse(name: &str) -> Result<Self, TextError> {
        check_id(name)?;
        if name.len() > CUSTOM_ACTION_MAX_BYTES {
            return Err(TextError::TooLong { bytes: name.len(), max_bytes: CUSTOM_ACTION_MAX_BYTES });
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as the shop configured it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Action {
    /// Returns the action without the name of a custom one.
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::View => ActionKind::View,
            Self::Search => ActionKind::Search,
            Self::Click => ActionKind::Click,
            Self::AddToCart => ActionKind::AddToCart,
            Self::RemoveFromCart => ActionKind::RemoveFromCart,
            Self::Favorite => ActionKind::Favorite,
            Self::Purchase => ActionKind::Purchase,
            Self::Refund => ActionKind::Refund,
            Self::Review => ActionKind::Review,
            Self::Share => ActionKind::Share,
            Self::Custom(_) => ActionKind::Custom,
        }
    }

    /// Returns the name of a custom action; none for a built-in one.
    pub fn custom(&self) -> Option<&CustomAction> {
        match self {
            Self::Custom(name) => Some(name),
            _ => None,
        }
    }

    /// Returns the custom name, or the name of the kind.
    pub fn name(&self) -> &str {
        self.custom().map_or(self.kind().name(), CustomAction::as_str)
    }
}

impl ActionKind {
    /// All kinds, in the order of their codes 0 to 10.
    pub const ALL: [Self; 11] = [
        Self::View,
        Self::Search,
        Self::Click,
        Self::AddToCart,
        Self::RemoveFromCart,
        Self::Favorite,
        Self::Purchase,
        Self::Refund,
        Self::Review,
        Self::Share,
        Self::Custom,
    ];

    /// Returns the index in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the name in snake case, as "add_to_cart".
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Search => "search",
            Self::Click => "click",
            Self::AddToCart => "add_to_cart",
            Self::RemoveFromCart => "remove_from_cart",
            Self::Favorite => "favorite",
            Self::Purchase => "purchase",
            Self::Refund => "refund",
            Self::Review => "review",
            Self::Share => "share",
            Self::Custom => "custom",
        }
    }

    /// Returns the strength of an action as evidence of interest in an item, its category, its brand and its price band. Negative
    /// actions take back what the positive one before them gave. A constant of the format: nodes agree on it, and a rebuild
    /// needs no configuration of the day of an event.
    pub const fn strength(self) -> f64 {
        match self {
            // Only the proportions matter, since affinities are read as shares of their sum.
            Self::View | Self::Click | Self::Custom => 1.0,
            // The words of a search are kept; its item, if a sender gives one, is the first of a list.
            Self::Search => 0.0,
            Self::AddToCart | Self::Favorite => 3.0,
            Self::Review | Self::Share => 2.0,
            Self::Purchase => 5.0,
            Self::RemoveFromCart => -3.0,
            Self::Refund => -5.0,
        }
    }
}
