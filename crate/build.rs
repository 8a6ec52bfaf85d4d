//! Links the addon against Node where it is asked for.

fn main() {
    if std::env::var_os("CARGO_FEATURE_ADDON").is_some() {
        napi_build::setup();
        // The addon has no symbols. The examples keep theirs: callgrind counts the instructions of a function by its name.
        if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux")
            && std::env::var("PROFILE").as_deref() == Ok("release")
        {
            println!("cargo:rustc-cdylib-link-arg=-Wl,--strip-all");
        }
    }
}
