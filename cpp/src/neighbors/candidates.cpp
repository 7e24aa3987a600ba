#include "labelquorum/candidates.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t values_per_block = std::size_t{1} << 16;

// What one worker needs.
struct Scratch {
    std::vector<double> query;
    std::vector<double> point;
    std::vector<std::int64_t> indices;
    std::vector<std::pair<double, std::int64_t>> measured;
};

}  // namespace

template <class Distance>
Neighbors<Distance> nearest_candidates(const Points& points, const Points& queries,
                                       std::span<const std::int64_t> candidates, std::size_t k,
                                       Metric metric, const Executor& executor) {
    const std::size_t n = queries.n_rows;
    const std::size_t m = points.n_columns;
    if (m < 1 || queries.n_columns != m) {
        throw std::invalid_argument("Y: " + std::to_string(queries.n_columns) +
                                    " columns, X: " + std::to_string(m));
    }
    const std::size_t n_candidates = n > 0 ? candidates.size() / n : 0;
    if (n * n_candidates != candidates.size()) {
        throw std::invalid_argument("candidates: " + std::to_string(candidates.size()) +
                                    "; wanted the same number for each of " + std::to_string(n) +
                                    " queries");
    }
    if (k < 1 || (n > 0 && k > n_candidates)) {
        throw std::invalid_argument("n_neighbors: " + std::to_string(k) + "; wanted 1 to " +
                                    std::to_string(n_candidates) + ", the number of candidates");
    }
    executor.require_memory(n * k * (sizeof(Distance) + sizeof(std::int64_t)), "the neighbours");
    Neighbors<Distance> result{
        k,
        std::vector<Distance>(n * k, std::numeric_limits<Distance>::infinity()),
        std::vector<std::int64_t>(n * k, -1),
        {1, 1, 0}};
    const Measure measure(metric, m);
    const std::size_t grain =
        std::max<std::size_t>(1, values_per_block / (m * std::max<std::size_t>(1, n_candidates)));
    const std::size_t n_blocks = (n + grain - 1) / grain;
    std::vector<Scratch> scratches(static_cast<std::size_t>(executor.n_workers(n_blocks)));
    executor.stage("measure");
    executor.run_ranges(n, grain, [&](std::size_t begin, std::size_t end, int worker) {
        Scratch& scratch = scratches[static_cast<std::size_t>(worker)];
        scratch.query.resize(m);
        scratch.point.resize(m);
        for (std::size_t q = begin; q < end; ++q) {
            const auto given = candidates.subspan(q * n_candidates, n_candidates);
            scratch.indices.assign(given.begin(), given.end());
            std::sort(scratch.indices.begin(), scratch.indices.end());
            scratch.indices.erase(std::unique(scratch.indices.begin(), scratch.indices.end()),
                                  scratch.indices.end());
            measure.read(queries, q, scratch.query.data());
            scratch.measured.clear();
            for (const std::int64_t index : scratch.indices) {
                if (index < 0) continue;
                if (std::cmp_greater_equal(index, points.n_rows)) {
                    throw std::invalid_argument("candidates: " + std::to_string(index) + " of " +
                                                std::to_string(points.n_rows) + " points");
                }
                measure.read(points, static_cast<std::size_t>(index), scratch.point.data());
                scratch.measured.emplace_back(measure(scratch.query.data(), scratch.point.data()),
                                              index);
            }
            std::sort(scratch.measured.begin(), scratch.measured.end());
            const std::size_t n_found = std::min(k, scratch.measured.size());
            for (std::size_t i = 0; i < n_found; ++i) {
                const auto& [distance, index] = scratch.measured[i];
                result.distances[q * k + i] =
                    static_cast<Distance>(measure.final_distance(distance));
                result.indices[q * k + i] = index;
            }
        }
    });
    return result;
}

template Neighbors<float> nearest_candidates(const Points&, const Points&,
                                             std::span<const std::int64_t>, std::size_t, Metric,
                                             const Executor&);
template Neighbors<double> nearest_candidates(const Points&, const Points&,
                                              std::span<const std::int64_t>, std::size_t, Metric,
                                              const Executor&);

}  // namespace labelquorum
