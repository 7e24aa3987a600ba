// Reading memory that somebody else may change meanwhile.
#pragma once

#include <stdexcept>
#include <string>

namespace labelquorum {

// Reads a value once, so that what has been checked is what is used. Arrays belong to the caller,
// and another thread or process may write to them while a call runs.
template <class T>
T read_once(const T* from) {
    return *static_cast<const volatile T*>(from);
}

// Something that has been checked is no longer as it was.
[[noreturn]] inline void throw_changed(const char* name) {
    throw std::invalid_argument(std::string(name) + " must not change while a call reads it.");
}

}  // namespace labelquorum
