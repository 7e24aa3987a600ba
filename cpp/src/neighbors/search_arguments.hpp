// The checks that every search starts with.
#pragma once

#include "labelquorum/neighbors.hpp"

namespace labelquorum {

// Throws std::invalid_argument for shapes that do not match and for a k that is out of range.
void check_search(const Points& points, const Points* queries, std::size_t k);

}  // namespace labelquorum
