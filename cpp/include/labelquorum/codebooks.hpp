// Assigns rows to their nearest centers in many codebooks at once: how clusterings that were fitted
// on a sample vote on everything else.
//
// A block of rows is read, centred and packed once, and compared with the centers of all codebooks
// while it stays in the cache. Low-precision dot products rule out all but a few centers, by a
// bound on their error; these few are measured in double precision. Labels are therefore those of
// measuring everything so, whatever the chunks, the threads and the instruction set. Ties go to the
// center of the lowest number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/neighbors.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

// The centers of one clustering.
struct Codebook {
    Points centers;                    // at least one
    std::vector<std::size_t> columns;  // of the rows, one for each of the centers'; empty: all
};

// Writes the number of each row's nearest center in each codebook: labels[row * n_codebooks +
// codebook]. Label is int16_t or int32_t.
//
// Throws std::invalid_argument where there is no codebook, a shape does not fit, Label does not
// hold the number of a center, or rows or centers hold NaN, infinity or values beyond 1e150, naming
// the place. On an exception the contents of `labels` are unspecified.
//
// Time is O(n_rows * n_columns * number of all centers); memory some 16 bytes for each value of the
// centers, and some 3 MiB per thread.
template <class Label>
void assign_codebooks(const Points& rows, std::span<const Codebook> codebooks, Metric metric,
                      Label* labels, const Executor& executor);

// Counts the signatures of these labels in the table and writes the id of each row's, as
// SignatureTable::update does, without holding more than 32 MiB of labels or a block for each
// thread. Id is int32_t or int64_t. Besides, throws std::invalid_argument where the table's number
// of partitions is another; after every exception the table is as it was before.
template <class Id>
void assign_signatures(const Points& rows, std::span<const Codebook> codebooks, Metric metric,
                       SignatureTable& table, Id* ids, const Executor& executor);

}  // namespace labelquorum
