// Assigns rows to their nearest centers in many codebooks at once. This is how clusterings that
// were fitted on a sample vote on all other rows.
//
// A block of rows is read, centered and packed once, and compared with the centers of all codebooks
// while it stays in the cache. Low-precision dot products, whose error is bounded, rule out all but
// a few centers. These are measured in double precision, so the labels are the same as if every
// distance were, whatever the chunks, threads and instruction set. Ties go to the lowest number.
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
    std::vector<std::size_t> columns;  // of the rows that it is for; empty: all
};

// Writes the number of each row's nearest center in each codebook to labels[row * n_codebooks +
// codebook]. Label is int16_t or int32_t.
//
// Throws std::invalid_argument if there is no codebook, shapes do not match, there are more centers
// than Label can number, or a value is NaN, infinite or beyond 1e150. After an exception the
// contents of `labels` are unspecified.
//
// Time is O(n_rows * n_columns * number of all centers). Memory is about 16 bytes per value of the
// centers, and 3 MiB per thread.
template <class Label>
void assign_codebooks(const Points& rows, std::span<const Codebook> codebooks, Metric metric,
                      Label* labels, const Executor& executor);

// Counts the signatures of these labels in a table and writes the id of each row's signature, as
// SignatureTable::update does. Holds at most 32 MiB of labels, or a block per thread if that is
// more. Id is int32_t or int64_t.
//
// Also throws std::invalid_argument unless the table has one partition per codebook. After any
// exception the table is unchanged.
template <class Id>
void assign_signatures(const Points& rows, std::span<const Codebook> codebooks, Metric metric,
                       SignatureTable& table, Id* ids, const Executor& executor);

}  // namespace labelquorum
