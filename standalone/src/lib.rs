//! The whole pipeline on one machine without Docker, the simulated provider, and the operator's commands.

pub mod commands;
pub mod demo;
pub mod chaos;
pub mod stack;
pub mod simulate;
pub mod history;
pub mod measure;
pub mod prices;
pub mod audit;

pub mod terminal;

pub mod clickhouse;
pub mod fetch;
