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

// Returns the number of candidates of each query.
std::size_t check_arguments(const Points& points, const Points& queries,
                            std::span<const std::int64_t> candidates, std::size_t k) {
    const std::size_t n = queries.n_rows;
    const std::size_t m = points.n_columns;
    if (m < 1 || queries.n_columns != m) {
        throw std::invalid_argument("Y must have as many columns as X, at least 1, got " +
                                    std::to_string(queries.n_columns) + " and " +
                                    std::to_string(m) + ".");
    }
    const std::size_t n_candidates = n > 0 ? candidates.size() / n : 0;
    if (n * n_candidates != candidates.size()) {
        throw std::invalid_argument("candidates must have the same number for each of " +
                                    std::to_string(n) + " queries, got " +
                                    std::to_string(candidates.size()) + " in all.");
    }
    if (k < 1 || (n > 0 && k > n_candidates)) {
        throw std::invalid_argument("n_neighbors must be from 1 to " +
                                    std::to_string(n_candidates) +
                                    ", the number of candidates, got " + std::to_string(k) + ".");
    }
    return n_candidates;
}

// Measures the candidates of one query after another; one per worker.
class CandidateMeasurer {
public:
    CandidateMeasurer(const Points& points, const Points& queries, const Measure& measure)
        : points_(points),
          queries_(queries),
          measure_(measure),
          query_(points.n_columns),
          point_(points.n_columns) {}

    // The distances and indices of a query's distinct candidates, nearest first.
    const std::vector<std::pair<double, std::int64_t>>& operator()(
        std::size_t query, std::span<const std::int64_t> candidates) {
        indices_.assign(candidates.begin(), candidates.end());
        std::sort(indices_.begin(), indices_.end());
        indices_.erase(std::unique(indices_.begin(), indices_.end()), indices_.end());
        measure_.read(queries_, query, query_.data());
        measured_.clear();
        for (const std::int64_t index : indices_) {
            if (index < 0) continue;
            if (std::cmp_greater_equal(index, points_.n_rows)) {
                throw std::invalid_argument("candidates must be less than the number of points, " +
                                            std::to_string(points_.n_rows) + ", got " +
                                            std::to_string(index) + ".");
            }
            measure_.read(points_, static_cast<std::size_t>(index), point_.data());
            measured_.emplace_back(measure_(query_.data(), point_.data()), index);
        }
        std::sort(measured_.begin(), measured_.end());
        return measured_;
    }

private:
    const Points& points_;
    const Points& queries_;
    const Measure& measure_;
    std::vector<double> query_;
    std::vector<double> point_;
    std::vector<std::int64_t> indices_;
    std::vector<std::pair<double, std::int64_t>> measured_;
};

}  // namespace

template <class Distance>
Neighbors<Distance> nearest_candidates(const Points& points, const Points& queries,
                                       std::span<const std::int64_t> candidates, std::size_t k,
                                       Metric metric, const Executor& executor) {
    const std::size_t n_candidates = check_arguments(points, queries, candidates, k);
    const std::size_t n = queries.n_rows;
    executor.require_memory(n * k * (sizeof(Distance) + sizeof(std::int64_t)), "the neighbors");
    Neighbors<Distance> result{
        k,
        std::vector<Distance>(n * k, std::numeric_limits<Distance>::infinity()),
        std::vector<std::int64_t>(n * k, -1),
        {1, 1, 0}};
    const Measure measure(metric, points.n_columns);
    const std::size_t values_per_query = points.n_columns * std::max<std::size_t>(1, n_candidates);
    const std::size_t grain = std::max<std::size_t>(1, values_per_block / values_per_query);
    const int n_workers = executor.n_workers((n + grain - 1) / grain);
    std::vector<CandidateMeasurer> measurers(static_cast<std::size_t>(n_workers),
                                             CandidateMeasurer(points, queries, measure));
    executor.stage("measure");
    executor.run_ranges(n, grain, [&](std::size_t begin, std::size_t end, int worker) {
        CandidateMeasurer& measurer = measurers[static_cast<std::size_t>(worker)];
        for (std::size_t q = begin; q < end; ++q) {
            const auto& measured = measurer(q, candidates.subspan(q * n_candidates, n_candidates));
            for (std::size_t i = 0; i < std::min(k, measured.size()); ++i) {
                const auto& [distance, index] = measured[i];
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
