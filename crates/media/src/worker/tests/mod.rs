//! Sound through the worker: who hears whom, when, and as one steady stream.

mod codecs;
mod delay;
mod moves;
mod peers;
mod quality;
mod repeating;
mod rooms;
mod secured;
mod sound;
mod voice;
mod web;
mod world;
