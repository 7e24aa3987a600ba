#include "labelquorum/propagation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "graph_check.hpp"
#include "row_sums.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t grain = 1024;
constexpr std::size_t chunk = 64;  // rows that stay in the L1 cache
constexpr std::int64_t no_seed = -1;

std::size_t padded(std::size_t n_classes) { return (n_classes + 3) / 4 * 4; }

// n rows of `width` values, initially zero, that cross as few cache lines as possible.
template <class Real>
class Matrix {
public:
    Matrix(std::size_t n, std::size_t width)
        : width_(width), lines_((n * width + per_line - 1) / per_line) {}

    Real* row(std::size_t i) { return data() + i * width_; }
    const Real* row(std::size_t i) const { return data() + i * width_; }

private:
    static constexpr std::size_t per_line = 64 / sizeof(Real);
    struct alignas(64) Line {
        std::array<Real, per_line> values{};
    };

    Real* data() { return reinterpret_cast<Real*>(lines_.data()); }
    const Real* data() const { return reinterpret_cast<const Real*>(lines_.data()); }

    std::size_t width_;
    std::vector<Line> lines_;
};

template <class Index, class Real>
class Iteration {
public:
    Iteration(const GraphView<Index, Real>& graph, const Seeds<Real>& seeds,
              const PropagationRule& rule, const Executor& executor)
        : graph_(graph),
          seeds_(seeds),
          rule_(rule),
          executor_(executor),
          sums_(row_sums<Index, Real>()),
          clamped_(rule.clamped),
          from_neighbors_(clamped_ ? 1 : static_cast<Real>(rule.from_neighbors)),
          width_(padded(seeds.n_classes)),
          seed_of_(graph.n_nodes, no_seed),
          seed_rows_(seeds.n_seeds, width_),
          values_(graph.n_nodes, width_),
          next_(graph.n_nodes, width_),
          reached_(graph.n_nodes, 0),
          changes_((graph.n_nodes + grain - 1) / grain),
          n_new_(changes_.size()),
          n_reached_(seeds.n_seeds) {
        const auto from_seeds = clamped_ ? Real{1} : static_cast<Real>(rule.from_seeds);
        for (std::size_t s = 0; s < seeds.n_seeds; ++s) {
            const std::int64_t node = read_once(seeds.nodes + s);
            if (node < 0 || static_cast<std::size_t>(node) >= graph.n_nodes ||
                seed_of_[static_cast<std::size_t>(node)] != no_seed) {
                throw std::invalid_argument(
                    "seeds must be distinct nodes of the graph, from 0 to " +
                    std::to_string(graph.n_nodes - 1) + ", got node " + std::to_string(node) + ".");
            }
            const auto i = static_cast<std::size_t>(node);
            seed_of_[i] = static_cast<std::int64_t>(s);
            reached_[i] = 1;
            const Real* values = seeds.values + s * seeds.n_classes;
            for (std::size_t c = 0; c < seeds.n_classes; ++c) {
                values_.row(i)[c] = values[c];
                seed_rows_.row(s)[c] = from_seeds * values[c];
                change_ += std::abs(static_cast<double>(values[c]));
            }
        }
        reached_next_ = reached_;
    }

    Propagation<Real> run() {
        Propagation<Real> result{};
        while (result.n_iter < rule_.max_iter && !(change_ < rule_.tol)) {
            executor_.stage("propagation", share(result.n_iter), share(result.n_iter + 1));
            step();
            ++result.n_iter;
        }
        result.converged = change_ < rule_.tol;
        result.spreading = growing_ && has_nodes_to_reach();
        result.reached = std::move(reached_);
        result.values.resize(graph_.n_nodes * seeds_.n_classes);
        executor_.run_ranges(graph_.n_nodes, grain, [&](std::size_t begin, std::size_t end, int) {
            for (std::size_t i = begin; i < end; ++i) {
                std::copy_n(std::as_const(values_).row(i), seeds_.n_classes,
                            result.values.data() + i * seeds_.n_classes);
            }
        });
        return result;
    }

private:
    double share(std::size_t n_iter) const {
        return static_cast<double>(n_iter) / static_cast<double>(rule_.max_iter);
    }
    std::size_t row_begin(std::size_t i) const {
        return static_cast<std::size_t>(graph_.indptr[i]);
    }
    std::size_t row_end(std::size_t i) const {
        return static_cast<std::size_t>(graph_.indptr[i + 1]);
    }

    void step() {
        executor_.run_ranges(graph_.n_nodes, grain, [&](std::size_t begin, std::size_t end, int) {
            double change = 0;
            std::size_t n_new = 0;
            if (few_reached_) {
                for (std::size_t i = begin; i < end; ++i) {
                    if (reach(i, n_new)) make_reached_row(i, change);
                }
            } else {
                for (std::size_t i = begin; i < end; i += chunk) {
                    make_rows(i, std::min(end, i + chunk), change);
                }
                for (std::size_t i = begin; i < end && growing_; ++i) reach(i, n_new);
            }
            changes_[begin / grain] = change;
            n_new_[begin / grain] = n_new;
        });
        std::swap(values_, next_);
        change_ = 0;
        for (const double change : changes_) change_ += change;
        if (!growing_) return;
        std::swap(reached_, reached_next_);
        const std::size_t n_new = std::accumulate(n_new_.begin(), n_new_.end(), std::size_t{0});
        growing_ = n_new > 0;
        n_reached_ += n_new;
        few_reached_ = growing_ && n_reached_ < graph_.n_nodes / 2;
    }

    // Whether a label has reached node i after this step. Counts nodes that were not reached
    // before.
    bool reach(std::size_t i, std::size_t& n_new) {
        const bool now = reached_[i] != 0 || has_reached_neighbor(i);
        reached_next_[i] = static_cast<std::uint8_t>(now);
        n_new += now && reached_[i] == 0 ? 1 : 0;
        return now;
    }

    // Reads only rows that labels have reached, which are few at first.
    void make_reached_row(std::size_t i, double& change) {
        Real* row = next_.row(i);
        std::fill_n(row, width_, Real{0});
        for (std::size_t e = row_begin(i); e < row_end(i); ++e) {
            if (!leads_to_a_label(e)) continue;
            const Real weight = graph_.weights[e];
            const Real* from = values_.row(static_cast<std::size_t>(graph_.indices[e]));
            for (std::size_t c = 0; c < width_; ++c) row[c] += weight * from[c];
        }
        for (std::size_t c = 0; c < width_; ++c) row[c] *= from_neighbors_;
        apply_seeds(i);
        change += sums_.difference(row, values_.row(i), width_);
    }

    void make_rows(std::size_t begin, std::size_t end, double& change) {
        sums_.sum(graph_, begin, end, from_neighbors_, values_.row(0), width_, next_.row(begin));
        for (std::size_t i = begin; i < end; ++i) apply_seeds(i);
        change += sums_.difference(next_.row(begin), values_.row(begin), (end - begin) * width_);
    }

    void apply_seeds(std::size_t i) {
        Real* row = next_.row(i);
        const std::int64_t s = seed_of_[i];
        if (s != no_seed) {
            const Real* seed = seed_rows_.row(static_cast<std::size_t>(s));
            for (std::size_t c = 0; c < width_; ++c) row[c] = (clamped_ ? 0 : row[c]) + seed[c];
        } else if (clamped_) {
            Real total = 0;
            for (std::size_t c = 0; c < width_; ++c) total += row[c];
            if (total == 0) return;
            for (std::size_t c = 0; c < width_; ++c) row[c] /= total;
        }
    }

    bool has_reached_neighbor(std::size_t i) const {
        for (std::size_t e = row_begin(i); e < row_end(i); ++e) {
            if (leads_to_a_label(e)) return true;
        }
        return false;
    }

    bool leads_to_a_label(std::size_t e) const {
        return reached_[static_cast<std::size_t>(graph_.indices[e])] != 0 && graph_.weights[e] > 0;
    }

    bool has_nodes_to_reach() const {
        for (std::size_t i = 0; i < graph_.n_nodes; ++i) {
            if (i % grain == 0) executor_.checkpoint();
            if (reached_[i] == 0 && has_reached_neighbor(i)) return true;
        }
        return false;
    }

    const GraphView<Index, Real>& graph_;
    const Seeds<Real>& seeds_;
    const PropagationRule& rule_;
    const Executor& executor_;
    const RowSums<Index, Real>& sums_;
    const bool clamped_;
    const Real from_neighbors_;
    const std::size_t width_;            // of a row
    std::vector<std::int64_t> seed_of_;  // the seed of each node, or no_seed
    Matrix<Real> seed_rows_;             // what the seeds add
    Matrix<Real> values_;
    Matrix<Real> next_;
    std::vector<std::uint8_t> reached_;
    std::vector<std::uint8_t> reached_next_;
    bool growing_ = true;  // the last step reached new nodes
    bool few_reached_ = true;
    std::vector<double> changes_;     // of each block of rows
    std::vector<std::size_t> n_new_;  // of each block: nodes that were reached first
    std::size_t n_reached_;
    double change_ = 0;  // of all rows in the last step
};

}  // namespace

template <class Index, class Real>
Propagation<Real> propagate(const GraphView<Index, Real>& graph, const Seeds<Real>& seeds,
                            const PropagationRule& rule, const Executor& executor) {
    check_graph(graph.indptr, graph.indices, graph.n_nodes, executor);
    if (seeds.n_classes == 0) {
        throw std::invalid_argument("seeds must have at least 1 class, got 0.");
    }
    executor.require_memory(
        graph.n_nodes * ((2 * padded(seeds.n_classes) + seeds.n_classes) * sizeof(Real) + 10),
        "the labels of all nodes");
    // A copy, so that the inner loops need not check indices, which others may change.
    const auto n_edges = static_cast<std::size_t>(graph.indptr[graph.n_nodes]);
    executor.require_memory(n_edges * sizeof(Index), "the edges of the graph");
    std::vector<Index> targets(n_edges);
    executor.run_ranges(n_edges, 16 * grain, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t e = begin; e < end; ++e) {
            targets[e] = static_cast<Index>(target_of(graph.indices, e, graph.n_nodes));
        }
    });
    const GraphView<Index, Real> own_graph{graph.indptr, targets.data(), graph.weights,
                                           graph.n_nodes};
    return Iteration<Index, Real>(own_graph, seeds, rule, executor).run();
}

template Propagation<float> propagate(const GraphView<std::int32_t, float>&, const Seeds<float>&,
                                      const PropagationRule&, const Executor&);
template Propagation<double> propagate(const GraphView<std::int32_t, double>&, const Seeds<double>&,
                                       const PropagationRule&, const Executor&);
template Propagation<float> propagate(const GraphView<std::int64_t, float>&, const Seeds<float>&,
                                      const PropagationRule&, const Executor&);
template Propagation<double> propagate(const GraphView<std::int64_t, double>&, const Seeds<double>&,
                                       const PropagationRule&, const Executor&);

}  // namespace labelquorum
