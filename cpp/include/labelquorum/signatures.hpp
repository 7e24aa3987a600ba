// Collapses samples into signatures: the distinct rows of an ensemble of partitions, and their
// counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/partitions.hpp"

namespace labelquorum {

// Where a packed row keeps the code of each partition. Partition 0 has the highest bits of word 0,
// so comparing the words of two rows compares the rows lexicographically.
struct RowLayout {
    struct Field {
        std::uint32_t word;   // index of the 64-bit word
        std::uint32_t shift;  // of the field's lowest bit
        std::uint32_t width;  // bits, 0 .. 32
    };
    std::vector<Field> fields;  // one per partition
    std::size_t n_words = 1;    // per row

    static std::uint64_t mask(const Field& field) {
        return ((std::uint64_t{1} << field.width) - 1) << field.shift;
    }
    static Code code(const std::uint64_t* words, const Field& field) {
        return static_cast<Code>((words[field.word] & mask(field)) >> field.shift);
    }
};

struct PackedSignatures {
    RowLayout layout;
    std::vector<std::uint64_t> rows;   // n_signatures() * layout.n_words
    std::vector<std::int64_t> counts;  // n_signatures() values, each >= 1

    std::size_t size() const { return counts.size(); }
    std::size_t n_partitions() const { return layout.fields.size(); }
    const std::uint64_t* row(std::size_t i) const { return rows.data() + i * layout.n_words; }
    Code code(std::size_t i, std::size_t partition) const {
        return RowLayout::code(row(i), layout.fields[partition]);
    }
    // The number of partitions in which a signature has a label.
    std::size_t n_votes(std::size_t i) const {
        std::size_t n = 0;
        for (std::size_t j = 0; j < n_partitions(); ++j) n += code(i, j) != 0;
        return n;
    }
};

// A streaming, mergeable table of signatures.
//
// Signatures have the ids 0, 1, ... in order of first appearance over all updates and merges,
// whatever the chunks and the number of threads. There are at most 2^31 - 1 signatures. Counts are
// 64-bit; if their sum would exceed 2^63 - 1, the call throws std::overflow_error.
//
// Every call either succeeds as a whole, or throws and leaves the table unchanged. Several threads
// may use a table at once: calls that change it take turns, calls that read it run in parallel.
//
// Memory: about 40 bytes per signature, plus 8 for every 64 bits of packed row. A partition takes
// as many bits as its largest cluster id so far needs. An update of more than 2^21 rows, and a
// merge of as many signatures, also copies the counts, to be able to take everything back.
class SignatureTable {
public:
    // Throws std::invalid_argument unless 1 <= n_partitions <= 65535.
    explicit SignatureTable(std::size_t n_partitions);
    SignatureTable(const SignatureTable& other);
    SignatureTable& operator=(const SignatureTable&) = delete;
    ~SignatureTable();

    std::size_t n_partitions() const;
    std::size_t size() const;        // number of signatures
    std::int64_t n_samples() const;  // sum of counts
    std::size_t n_bytes() const;     // memory used

    // Counts the rows of `partitions` and writes the id of each to `out` (n_rows values). If
    // `eligible` is given, rows with eligible[i] == 0 are not counted and get -1. After an
    // exception the contents of `out` are unspecified. Expected time O(n_rows * n_partitions). Id
    // is int32_t or int64_t. `out` is never read. Other threads may write to the arrays meanwhile:
    // what is counted is then unspecified.
    template <class Id>
    void update(const Partitions& partitions, Id* out, const Executor& executor,
                const std::uint8_t* eligible = nullptr);

    // The same for rows that were counted elsewhere: row i stands for counts[i] >= 1 samples.
    void update_counted(const Partitions& rows, const std::int64_t* counts, std::int32_t* out,
                        const Executor& executor);

    // Adds the other table's signatures in the order of their ids. Returns the id of each in this
    // table. `other` may be this table.
    std::vector<std::int32_t> merge(const SignatureTable& other, const Executor& executor);

    // Writes the id of each row, or -1 if the row was never counted.
    void lookup(const Partitions& partitions, std::int32_t* out, const Executor& executor) const;

    // All signatures, row-major (size() * n_partitions()), -1 for an abstention.
    std::vector<std::int32_t> signatures(const Executor& executor) const;

    // The number of samples of every signature.
    std::vector<std::int64_t> counts() const;

    // A consistent copy of the contents, in the form that kernels read.
    PackedSignatures packed() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Translates ids to values: out[i] = ids[i] < 0 ? missing : values[ids[i]]. Value is int32_t or
// int64_t; if it is int32_t, `out` may be `ids`. Throws std::out_of_range if an id is not less than
// n_values.
template <class Value>
void expand(const std::int32_t* ids, std::size_t n, const Value* values, std::size_t n_values,
            Value missing, Value* out, const Executor& executor);

}  // namespace labelquorum
