// A set of columns of packed rows. Compares and hashes rows on these columns only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/hash.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

class ColumnSet {
public:
    ColumnSet(const RowLayout& layout, std::vector<std::size_t> columns)
        : mask_(layout.n_words, 0), columns_(std::move(columns)) {
        for (const std::size_t j : columns_) {
            mask_[layout.fields[j].word] |= RowLayout::mask(layout.fields[j]);
        }
    }

    // Whether equal tags imply equal values. True only for rows of one word.
    bool tags_decide() const { return mask_.size() == 1; }

    std::uint64_t tag(const PackedSignatures& signatures, std::size_t i) const {
        const std::uint64_t* row = signatures.row(i);
        if (tags_decide()) return mix(row[0] & mask_[0]);
        return hash_words(mask_.size(), [&](std::size_t k) { return row[k] & mask_[k]; });
    }

    bool equal(const PackedSignatures& signatures, std::size_t a, std::size_t b) const {
        const std::uint64_t* row_a = signatures.row(a);
        const std::uint64_t* row_b = signatures.row(b);
        for (std::size_t k = 0; k < mask_.size(); ++k) {
            if (((row_a[k] ^ row_b[k]) & mask_[k]) != 0) return false;
        }
        return true;
    }

    bool abstains(const PackedSignatures& signatures, std::size_t i) const {
        for (const std::size_t j : columns_) {
            if (signatures.code(i, j) == 0) return true;
        }
        return false;
    }

private:
    std::vector<std::uint64_t> mask_;  // one per word
    std::vector<std::size_t> columns_;
};

struct TaggedRow {
    std::uint64_t tag;
    std::uint32_t row;
};

}  // namespace labelquorum
