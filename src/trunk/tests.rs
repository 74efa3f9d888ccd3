//! Tables and properties; see the files beside this one.
