// Random ensembles, and naive versions of the kernels to compare the fast ones with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

#include "labelquorum/partitions.hpp"
#include "labelquorum/signatures.hpp"

namespace naive {

using Row = std::vector<std::int32_t>;  // n_partitions votes, -1 for an abstention
using Rows = std::vector<Row>;

struct Shape {
    std::size_t n = 100;
    std::size_t m = 5;
    int n_groups = 4;
    int n_ids = 6;
    double noise = 0.2;
    double abstain = 0.05;
    std::int32_t max_id = 0;  // spreads the ids over [0, max_id], its end included; 0: no
};

inline Rows planted(std::mt19937_64& random, const Shape& shape) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(shape.n_ids));
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = shape.max_id == 0
                     ? static_cast<std::int32_t>(i)
                     : std::uniform_int_distribution<std::int32_t>(0, shape.max_id)(random);
    }
    if (shape.max_id != 0) ids.back() = shape.max_id;
    std::uniform_int_distribution<std::size_t> any_id(0, ids.size() - 1);
    std::uniform_int_distribution<std::size_t> any_group(
        0, static_cast<std::size_t>(shape.n_groups) - 1);
    std::uniform_real_distribution<double> chance(0.0, 1.0);
    Rows prototypes(static_cast<std::size_t>(shape.n_groups), Row(shape.m));
    for (Row& row : prototypes) {
        for (std::int32_t& vote : row) vote = ids[any_id(random)];
    }
    Rows rows;
    rows.reserve(shape.n);
    for (std::size_t i = 0; i < shape.n; ++i) {
        rows.push_back(prototypes[any_group(random)]);
        for (std::int32_t& vote : rows.back()) {
            if (chance(random) < shape.noise) vote = ids[any_id(random)];
            if (chance(random) < shape.abstain) vote = -1;
        }
    }
    return rows;
}

// The rows as columns that a Partitions can view.
class Columns {
public:
    explicit Columns(const Rows& rows) : n_rows_(rows.size()), columns_(rows.front().size()) {
        for (std::size_t p = 0; p < columns_.size(); ++p) {
            columns_[p].reserve(n_rows_);
            for (const Row& row : rows) columns_[p].push_back(row[p]);
        }
    }

    std::int64_t& at(std::size_t row, std::size_t column) { return columns_[column][row]; }

    labelquorum::Partitions view() const { return view(0, n_rows_); }

    labelquorum::Partitions view(std::size_t begin, std::size_t end) const {
        labelquorum::Partitions partitions;
        partitions.n_rows = end - begin;
        for (const std::vector<std::int64_t>& column : columns_) {
            partitions.columns.push_back(
                {column.data() + begin, sizeof(std::int64_t), labelquorum::IntegerType::i64});
        }
        return partitions;
    }

private:
    std::size_t n_rows_;
    std::vector<std::vector<std::int64_t>> columns_;
};

// The same rows as one array in C order.
class Matrix {
public:
    explicit Matrix(const Rows& rows) : n_rows_(rows.size()), n_columns_(rows.front().size()) {
        for (const Row& row : rows) values_.insert(values_.end(), row.begin(), row.end());
    }

    labelquorum::Partitions view(std::size_t begin, std::size_t end) const {
        labelquorum::Partitions partitions;
        partitions.n_rows = end - begin;
        for (std::size_t j = 0; j < n_columns_; ++j) {
            partitions.columns.push_back(
                {values_.data() + begin * n_columns_ + j,
                 static_cast<std::ptrdiff_t>(n_columns_ * sizeof(std::int64_t)),
                 labelquorum::IntegerType::i64});
        }
        return partitions;
    }

private:
    std::size_t n_rows_;
    std::size_t n_columns_;
    std::vector<std::int64_t> values_;
};

struct Table {
    std::map<Row, std::int32_t> ids;
    Rows signatures;
    std::vector<std::int64_t> counts;

    std::int32_t add(const Row& row, std::int64_t count = 1) {
        const auto [position, is_new] =
            ids.try_emplace(row, static_cast<std::int32_t>(counts.size()));
        if (is_new) {
            signatures.push_back(row);
            counts.push_back(0);
        }
        counts[static_cast<std::size_t>(position->second)] += count;
        return position->second;
    }

    std::vector<std::int32_t> update(const Rows& rows) {
        std::vector<std::int32_t> out;
        out.reserve(rows.size());
        for (const Row& row : rows) out.push_back(add(row));
        return out;
    }
};

// Whether a SignatureTable has the same contents as the naive one.
inline bool holds(const labelquorum::SignatureTable& table, const Table& expected) {
    const labelquorum::Executor serial(1);
    if (table.size() != expected.counts.size()) return false;
    const std::vector<std::int64_t> counts = table.counts();
    if (counts != expected.counts) return false;
    const std::size_t m = table.n_partitions();
    const std::vector<std::int32_t> signatures = table.signatures(serial);
    std::int64_t total = 0;
    for (std::size_t i = 0; i < table.size(); ++i) {
        total += counts[i];
        if (!std::equal(expected.signatures[i].begin(), expected.signatures[i].end(),
                        signatures.begin() + static_cast<std::ptrdiff_t>(i * m))) {
            return false;
        }
    }
    return total == table.n_samples();
}

inline std::size_t agree(const Row& a, const Row& b) {
    std::size_t votes = 0;
    for (std::size_t p = 0; p < a.size(); ++p) votes += a[p] >= 0 && a[p] == b[p] ? 1 : 0;
    return votes;
}

inline std::size_t differ(const Row& a, const Row& b) {
    std::size_t votes = 0;
    for (std::size_t p = 0; p < a.size(); ++p) {
        votes += a[p] >= 0 && b[p] >= 0 && a[p] != b[p] ? 1 : 0;
    }
    return votes;
}

inline std::vector<std::int64_t> degrees(const Table& table, std::size_t min_agree) {
    std::vector<std::int64_t> out;
    for (const Row& row : table.signatures) {
        std::int64_t degree = 0;
        for (std::size_t j = 0; j < table.counts.size(); ++j) {
            if (agree(row, table.signatures[j]) >= min_agree) degree += table.counts[j];
        }
        out.push_back(degree);
    }
    return out;
}

// The published greedy procedure over signatures, ties broken by content.
inline std::vector<std::int32_t> mini_clusters(const Table& table, std::size_t n_clusters,
                                               std::size_t min_agree, std::size_t min_differ,
                                               std::int64_t min_size,
                                               const std::vector<std::uint8_t>& eligible = {}) {
    const std::size_t n = table.counts.size();
    std::vector<std::uint8_t> alive = eligible.empty() ? std::vector<std::uint8_t>(n, 1) : eligible;
    std::vector<std::int32_t> labels(n, -1);
    const auto strong = [&](std::size_t i, std::size_t j) {
        return agree(table.signatures[i], table.signatures[j]) >= min_agree;
    };
    for (std::int32_t label = 0; static_cast<std::size_t>(label) < n_clusters; ++label) {
        // The best by degree, then by own samples, then the smaller row.
        std::optional<std::size_t> seed;
        std::tuple<std::int64_t, std::int64_t> best;
        for (std::size_t i = 0; i < n; ++i) {
            if (!alive[i]) continue;
            std::int64_t degree = 0;
            for (std::size_t j = 0; j < n; ++j) {
                if (alive[j] && strong(i, j)) degree += table.counts[j];
            }
            const std::tuple<std::int64_t, std::int64_t> rank(degree, table.counts[i]);
            if (!seed || rank > best ||
                (rank == best && table.signatures[i] < table.signatures[*seed])) {
                seed = i;
                best = rank;
            }
        }
        if (!seed || std::get<0>(best) < std::max<std::int64_t>(1, min_size)) break;
        std::vector<std::size_t> members;
        for (std::size_t j = 0; j < n; ++j) {
            if (alive[j] && strong(*seed, j)) members.push_back(j);
        }
        for (const std::size_t j : members) {
            labels[j] = label;
            alive[j] = 0;
        }
        for (std::size_t i = 0; i < n; ++i) {
            for (const std::size_t j : members) {
                if (differ(table.signatures[i], table.signatures[j]) < min_differ) alive[i] = 0;
            }
        }
    }
    return labels;
}

}  // namespace naive
