// Counting rows of votes into a signature store, on several threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "labelquorum/executor.hpp"
#include "labelquorum/partitions.hpp"
#include "signature_store.hpp"

namespace labelquorum {

// The rows of one call. Id is int32_t or int64_t.
template <class Id>
struct RowsToCount {
    const Partitions& partitions;
    const std::uint8_t* eligible;  // null: all rows are
    const std::int64_t* weights;   // samples per row; null: 1 each
    Id* ids;  // written, never read: the signature of each row, or -1 if not eligible

    std::int64_t weight(std::size_t row) const { return weights == nullptr ? 1 : weights[row]; }
};

// Counts all rows, or throws and leaves the store as it was.
template <class Id>
void count_rows(const RowsToCount<Id>& rows, SignatureStore& store, const Executor& executor);

}  // namespace labelquorum
