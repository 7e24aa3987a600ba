// Three exact ways to count the samples that agree with each signature in at least t of M
// partitions.
//
// Subsets. For a set S of columns, let F_S(i) be the number of samples with the same values as
// signature i on S, and F_s the sum over all S of size s. It counts a sample with `a` agreements
// C(a, s) times. By inclusion and exclusion
//     #{a >= t} = sum over s = t..M of (-1)^(s - t) C(s - 1, t - 1) F_s.
// Computed modulo 2^64, which is exact because the result is less than 2^63. Each subset takes one
// grouping of all signatures.
//
// Pairs. Compares all pairs by row scans in cache blocks.
//
// Blocks. Compares only pairs that share a group of some block of columns (block_groups.hpp).
#include "degrees.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "code_columns.hpp"
#include "column_set.hpp"
#include "row_scan.hpp"

namespace labelquorum {
namespace {

// Costs of the steps, in nanoseconds of one core.
constexpr double ns_per_grouped_row = 15.0;
constexpr double ns_per_sorted_row = 60.0;
constexpr double ns_per_candidate = 5.0;
constexpr double ns_per_candidate_code = 0.7;

// Up to this many signatures, each subset is one worker's. With more, workers share each subset.
constexpr std::size_t small_table = std::size_t{1} << 15;
constexpr std::size_t bucket_rows = std::size_t{1} << 12;

// Whether each signature abstains anywhere.
std::vector<std::uint8_t> find_abstentions(const PackedSignatures& signatures) {
    std::vector<std::uint8_t> abstains(signatures.size(), 0);
    for (std::size_t i = 0; i < signatures.size(); ++i) {
        for (std::size_t j = 0; j < signatures.n_partitions(); ++j) {
            abstains[i] |= signatures.code(i, j) == 0;
        }
    }
    return abstains;
}

// Groups items by the values on a column set and adds coefficient * (samples of the group) to the
// degree of each.
class Grouper {
public:
    void add(const PackedSignatures& signatures, const ColumnSet& set,
             std::span<const TaggedRow> items, std::uint64_t coefficient, std::uint64_t* degrees) {
        const std::size_t n_slots = std::bit_ceil(2 * items.size() + 1);
        groups_.assign(n_slots, {});
        group_of_.resize(items.size());
        for (std::size_t k = 0; k < items.size(); ++k) {
            const auto [tag, row] = items[k];
            // Low bits: all items of a bucket may have the same high bits.
            std::size_t place = tag & (n_slots - 1);
            while (groups_[place].samples != 0 &&
                   (groups_[place].tag != tag ||
                    (!set.tags_decide() && !set.equal(signatures, groups_[place].row, row)))) {
                place = (place + 1) & (n_slots - 1);
            }
            groups_[place].tag = tag;
            groups_[place].row = row;
            groups_[place].samples += signatures.counts[row];
            group_of_[k] = static_cast<std::uint32_t>(place);
        }
        for (std::size_t k = 0; k < items.size(); ++k) {
            degrees[items[k].row] +=
                coefficient * static_cast<std::uint64_t>(groups_[group_of_[k]].samples);
        }
    }

private:
    struct Group {
        std::uint64_t tag = 0;
        std::int64_t samples = 0;  // 0: free, since counts are at least 1
        std::uint32_t row = 0;
    };
    std::vector<Group> groups_;
    std::vector<std::uint32_t> group_of_;
};

// The subsets of {0 .. n - 1} of one size, in lexicographic order.
class Combinations {
public:
    Combinations(std::size_t n, std::size_t size) : n_(n), chosen_(size) {
        std::iota(chosen_.begin(), chosen_.end(), std::size_t{0});
    }
    const std::vector<std::size_t>& chosen() const { return chosen_; }
    bool next() {
        std::size_t k = chosen_.size();
        while (k > 0 && chosen_[k - 1] == n_ - chosen_.size() + k - 1) --k;
        if (k == 0) return false;
        ++chosen_[k - 1];
        for (; k < chosen_.size(); ++k) chosen_[k] = chosen_[k - 1] + 1;
        return true;
    }

private:
    std::size_t n_;
    std::vector<std::size_t> chosen_;
};

std::vector<std::size_t> complement(const std::vector<std::size_t>& chosen, std::size_t n) {
    std::vector<std::size_t> rest;
    rest.reserve(n - chosen.size());
    auto next = chosen.begin();
    for (std::size_t j = 0; j < n; ++j) {
        if (next != chosen.end() && *next == j) {
            ++next;
        } else {
            rest.push_back(j);
        }
    }
    return rest;
}

// (-1)^(s - t) C(s - 1, t - 1) modulo 2^64 for s = t .. m.
std::vector<std::uint64_t> coefficients(std::size_t t, std::size_t m) {
    std::vector<std::uint64_t> pascal(m, 0);  // row s - 1 of Pascal's triangle, modulo 2^64
    std::vector<std::uint64_t> result;
    pascal[0] = 1;
    for (std::size_t s = 1; s <= m; ++s) {
        if (s >= t) result.push_back((s - t) % 2 == 0 ? pascal[t - 1] : 0 - pascal[t - 1]);
        for (std::size_t k = m - 1; k > 0; --k) pascal[k] += pascal[k - 1];
    }
    return result;
}

// The number of subsets of at least min_agree, but not all, of m columns.
double n_subsets(std::size_t min_agree, std::size_t m) {
    double sum = 0;
    for (std::size_t s = min_agree; s < m; ++s) {
        sum += std::exp(std::lgamma(static_cast<double>(m) + 1) -
                        std::lgamma(static_cast<double>(s) + 1) -
                        std::lgamma(static_cast<double>(m - s) + 1));
    }
    return sum;
}

class SubsetDegrees {
public:
    SubsetDegrees(const PackedSignatures& signatures, std::size_t min_agree,
                  const Executor& executor)
        : signatures_(signatures),
          min_agree_(min_agree),
          executor_(executor),
          abstains_(find_abstentions(signatures)),
          degrees_(signatures.size(), 0) {}

    std::vector<std::int64_t> compute() {
        const std::size_t m = signatures_.n_partitions();
        const auto factors = coefficients(min_agree_, m);
        // On the set of all columns, every signature is a group of its own.
        for (std::size_t i = 0; i < signatures_.size(); ++i) {
            if (abstains_[i] != 0) continue;
            degrees_[i] = factors.back() * static_cast<std::uint64_t>(signatures_.counts[i]);
        }
        executor_.stage("degrees");
        if (signatures_.size() <= small_table) {
            run_subsets_in_parallel(factors);
        } else {
            run_each_subset_in_parallel(factors);
        }
        return {degrees_.begin(), degrees_.end()};
    }

private:
    // Calls f(set, coefficient) for every n_parts-th subset, starting with number `part`.
    template <class F>
    void for_each_subset(const std::vector<std::uint64_t>& factors, std::size_t part,
                         std::size_t n_parts, F&& f) const {
        const std::size_t m = signatures_.n_partitions();
        std::size_t number = 0;
        for (std::size_t size = min_agree_; size < m; ++size) {
            Combinations dropped(m, m - size);
            do {
                if (number++ % n_parts != part) continue;
                f(ColumnSet(signatures_.layout, complement(dropped.chosen(), m)),
                  factors[size - min_agree_]);
            } while (dropped.next());
        }
    }

    bool votes_on(std::size_t i, const ColumnSet& set) const {
        return abstains_[i] == 0 || !set.abstains(signatures_, i);
    }

    void run_subsets_in_parallel(const std::vector<std::uint64_t>& factors) {
        const std::size_t n = signatures_.size();
        // No more threads than there is work for.
        const double n_rows =
            static_cast<double>(n) * n_subsets(min_agree_, signatures_.n_partitions());
        const auto n_parts =
            static_cast<std::size_t>(std::clamp(n_rows / 1e5, 1.0, 8.0 * executor_.n_threads()));
        const auto n_workers = static_cast<std::size_t>(executor_.n_workers(n_parts));
        std::vector<std::vector<std::uint64_t>> parts(n_workers, std::vector<std::uint64_t>(n, 0));
        executor_.run(n_parts, [&](std::size_t part, int worker) {
            Grouper grouper;
            std::vector<TaggedRow> items;
            auto& sums = parts[static_cast<std::size_t>(worker)];
            for_each_subset(
                factors, part, n_parts, [&](const ColumnSet& set, std::uint64_t factor) {
                    items.clear();
                    for (std::size_t i = 0; i < n; ++i) {
                        if (!votes_on(i, set)) continue;
                        items.push_back({set.tag(signatures_, i), static_cast<std::uint32_t>(i)});
                    }
                    grouper.add(signatures_, set, items, factor, sums.data());
                    executor_.checkpoint();
                });
        });
        for (const auto& sums : parts) {
            for (std::size_t i = 0; i < n; ++i) degrees_[i] += sums[i];
        }
    }

    void run_each_subset_in_parallel(const std::vector<std::uint64_t>& factors) {
        const std::size_t n = signatures_.size();
        const auto n_ranges = std::size_t{4} * static_cast<std::size_t>(executor_.n_threads());
        const std::size_t grain = (n + n_ranges - 1) / n_ranges;
        const std::size_t n_buckets = std::bit_ceil(n / bucket_rows);
        const int shift = 64 - std::countr_zero(n_buckets);
        executor_.require_memory(n * sizeof(TaggedRow) + n_ranges * n_buckets * sizeof(std::size_t),
                                 "counting strong edges");
        std::vector<TaggedRow> items(n);
        std::vector<std::size_t> next(n_ranges * n_buckets);
        std::vector<std::size_t> bounds(n_buckets + 1);
        std::vector<Grouper> groupers(static_cast<std::size_t>(executor_.n_workers(n_buckets)));
        const auto for_each_tag = [&](std::size_t range, const ColumnSet& set, auto&& f) {
            const std::size_t end = std::min(n, (range + 1) * grain);
            for (std::size_t i = range * grain; i < end; ++i) {
                if (votes_on(i, set)) f(i, set.tag(signatures_, i));
            }
        };
        for_each_subset(factors, 0, 1, [&](const ColumnSet& set, std::uint64_t factor) {
            executor_.run(n_ranges, [&](std::size_t range, int) {
                std::size_t* sizes = next.data() + range * n_buckets;
                std::fill_n(sizes, n_buckets, 0);
                for_each_tag(range, set,
                             [&](std::size_t, std::uint64_t tag) { ++sizes[tag >> shift]; });
            });
            std::size_t position = 0;
            for (std::size_t bucket = 0; bucket < n_buckets; ++bucket) {
                bounds[bucket] = position;
                for (std::size_t range = 0; range < n_ranges; ++range) {
                    position += std::exchange(next[range * n_buckets + bucket], position);
                }
            }
            bounds[n_buckets] = position;
            executor_.run(n_ranges, [&](std::size_t range, int) {
                std::size_t* places = next.data() + range * n_buckets;
                for_each_tag(range, set, [&](std::size_t i, std::uint64_t tag) {
                    items[places[tag >> shift]++] = {tag, static_cast<std::uint32_t>(i)};
                });
            });
            executor_.run(n_buckets, [&](std::size_t bucket, int worker) {
                const std::span<const TaggedRow> bucket_items(items.data() + bounds[bucket],
                                                              items.data() + bounds[bucket + 1]);
                groupers[static_cast<std::size_t>(worker)].add(signatures_, set, bucket_items,
                                                               factor, degrees_.data());
            });
        });
    }

    const PackedSignatures& signatures_;
    const std::size_t min_agree_;
    const Executor& executor_;
    const std::vector<std::uint8_t> abstains_;
    std::vector<std::uint64_t> degrees_;
};

template <class C>
std::vector<std::int64_t> degrees_by_pairs(const PackedSignatures& signatures,
                                           std::size_t min_agree, const Executor& executor) {
    constexpr std::size_t tile = 64;
    const CodeColumns<C> columns = unpack<C>(signatures, executor);
    const RowScan<C>& scan = row_scan<C>();
    const std::size_t n = signatures.size();
    const std::size_t m = signatures.n_partitions();
    std::vector<std::int64_t> degrees(n, 0);
    executor.stage("degrees");
    executor.run_ranges(n, tile, [&](std::size_t begin, std::size_t end, int) {
        std::vector<C> rows((end - begin) * m);
        std::vector<C> agree(scan_rows);
        for (std::size_t i = begin; i < end; ++i) columns.copy_row(i, &rows[(i - begin) * m]);
        for (std::size_t j = 0; j < n; j += scan_rows) {
            const std::size_t length = std::min(scan_rows, n - j);
            for (std::size_t i = begin; i < end; ++i) {
                scan.agree(columns.codes.data() + j, n, m, &rows[(i - begin) * m], length,
                           agree.data());
                degrees[i] += scan.sum_at_least(agree.data(), static_cast<C>(min_agree),
                                                signatures.counts.data() + j, length);
            }
            executor.checkpoint();
        }
    });
    return degrees;
}

template <class C>
std::vector<std::int64_t> degrees_by_blocks(const PackedSignatures& signatures,
                                            std::size_t min_agree, const BlockGroups& groups,
                                            const Executor& executor) {
    const std::vector<C> rows = unpack_rows<C>(signatures, executor);
    std::vector<std::int64_t> degrees(signatures.size(), 0);
    executor.stage("degrees");
    executor.run_ranges(signatures.size(), 256, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
            if (signatures.n_votes(i) < min_agree) continue;
            degrees[i] = signatures.counts[i];
            groups.for_each_neighbor(rows.data(), i, [&](std::uint32_t j, std::int32_t) {
                degrees[i] += signatures.counts[j];
            });
            executor.checkpoint();
        }
    });
    return degrees;
}

std::string decimal(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g", value);
    return text.data();
}

}  // namespace

Plan plan_pairs(const PackedSignatures& signatures, std::size_t min_agree, Way way,
                bool allow_subsets, const Executor& executor) {
    const auto n = static_cast<double>(signatures.size());
    const std::size_t m = signatures.n_partitions();
    const double n_blocks = static_cast<double>(m - min_agree + 1);
    Plan plan{Way::pairs, 1e-9 * n * n * static_cast<double>(m) * ns_per_scanned_code, {}};
    const double subsets = 1e-9 * n * n_subsets(min_agree, m) * ns_per_grouped_row;
    if (way == Way::subsets || (allow_subsets && subsets < plan.core_seconds)) {
        plan = {Way::subsets, subsets, {}};
    }
    const double grouping = 1e-9 * n * n_blocks * ns_per_sorted_row;
    if (way == Way::blocks || (way == Way::automatic && grouping < plan.core_seconds / 2)) {
        plan.groups.emplace(signatures, min_agree, executor);
        const double ns_per_pair =
            ns_per_candidate + static_cast<double>(m) * ns_per_candidate_code;
        const double blocks = grouping + 1e-9 * plan.groups->n_candidates() * ns_per_pair;
        if (way == Way::blocks || blocks < plan.core_seconds) {
            plan.way = Way::blocks;
            plan.core_seconds = blocks;
        }
    }
    if (way == Way::pairs) plan.way = Way::pairs;
    if (plan.way != Way::blocks) plan.groups.reset();
    require_work(plan.core_seconds, "comparing " + std::to_string(signatures.size()) +
                                        " signatures of " + std::to_string(m) +
                                        " partitions at min_agree=" + std::to_string(min_agree));
    return plan;
}

void require_work(double core_seconds, const std::string& work) {
    if (core_seconds <= max_core_seconds) return;
    throw WorkLimitError(work + " would take about " + decimal(core_seconds) +
                         " seconds of one core; the limit is " + decimal(max_core_seconds) +
                         ". Raise min_agree, or use fewer samples, partitions or clusters per "
                         "partition.");
}

std::vector<std::int64_t> degrees(const PackedSignatures& signatures, std::size_t min_agree,
                                  Way way, const Executor& executor) {
    if (signatures.size() == 0) return {};
    const Plan plan = plan_pairs(signatures, min_agree, way, true, executor);
    if (plan.way == Way::subsets) return SubsetDegrees(signatures, min_agree, executor).compute();
    return visit_code_type(signatures, [&]<class C>(C) {
        if (plan.way == Way::blocks) {
            return degrees_by_blocks<C>(signatures, min_agree, *plan.groups, executor);
        }
        return degrees_by_pairs<C>(signatures, min_agree, executor);
    });
}

}  // namespace labelquorum
