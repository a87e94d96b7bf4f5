//! What a shopper can do. Ten actions are built in; a shop can configure more, which share the kind [`ActionKind::Custom`]
//! and are told apart by name.

use crate::id::{TextError, check_id};
use serde::{Deserialize, Serialize};

/// The longest name of a custom action, in bytes.
pub const CUSTOM_ACTION_MAX_BYTES: usize = 32;

/// One thing a shopper did.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// Looked at an item's page.
    View,
    /// Searched.
    Search,
    /// Clicked an item in a list, an advertisement or a recommendation.
    Click,
    /// Put an item into the cart.
    AddToCart,
    /// Took an item out of the cart.
    RemoveFromCart,
    /// Marked an item as a favourite.
    Favorite,
    /// Bought an item.
    Purchase,
    /// Gave an item back.
    Refund,
    /// Wrote a review.
    Review,
    /// Shared an item.
    Share,
    /// An action of the shop's own.
    Custom(CustomAction),
}

/// The name of an action of the shop's own: an id of at most [`CUSTOM_ACTION_MAX_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CustomAction(Box<str>);

/// An action without the name of a custom one: what transitions are counted between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum ActionKind {
    /// See [`Action::View`].
    View,
    /// See [`Action::Search`].
    Search,
    /// See [`Action::Click`].
    Click,
    /// See [`Action::AddToCart`].
    AddToCart,
    /// See [`Action::RemoveFromCart`].
    RemoveFromCart,
    /// See [`Action::Favorite`].
    Favorite,
    /// See [`Action::Purchase`].
    Purchase,
    /// See [`Action::Refund`].
    Refund,
    /// See [`Action::Review`].
    Review,
    /// See [`Action::Share`].
    Share,
    /// Any custom action.
    Custom,
}

impl CustomAction {
    /// Takes an id of at most [`CUSTOM_ACTION_MAX_BYTES`].
    pub fn parse(name: &str) -> Result<Self, TextError> {
        check_id(name)?;
        if name.len() > CUSTOM_ACTION_MAX_BYTES {
            return Err(TextError::TooLong { bytes: name.len(), max_bytes: CUSTOM_ACTION_MAX_BYTES });
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Action {
    /// The action without the name of a custom one.
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

    /// The name of a custom action.
    pub fn custom(&self) -> Option<&CustomAction> {
        match self {
            Self::Custom(name) => Some(name),
            _ => None,
        }
    }

    /// What a person reads: the custom name or that of the kind.
    pub fn name(&self) -> &str {
        self.custom().map_or(self.kind().name(), CustomAction::as_str)
    }
}

impl ActionKind {
    /// Every kind, in the order of their codes 0 to 10.
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

    /// The place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in snake case, as "add_to_cart".
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

    /// How strongly an action on an item speaks for its category, brand and price band. A purchase says more than a look,
    /// taking something out of the cart or giving it back speaks against; searches and shares of nothing say nothing.
    pub const fn preference_weight(self) -> f64 {
        match self {
            Self::View | Self::Click | Self::Custom => 1.0,
            Self::Search => 0.5,
            Self::AddToCart | Self::Favorite | Self::Review | Self::Share => 3.0,
            Self::Purchase => 5.0,
            Self::RemoveFromCart => -2.0,
            Self::Refund => -4.0,
        }
    }
}
