#include "labelquorum/communities.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

#include "graph_check.hpp"
#include "links.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t nodes_per_check = 4096;
// Visits in one pass, far more than are needed. Weights that differ between the two directions of
// an edge could make nodes move for ever.
constexpr std::size_t max_visits_per_node = 1000;

// A graph without edges from a node to itself; these only count in the degrees.
struct Level {
    std::vector<std::size_t> indptr;
    std::vector<Node> indices;
    std::vector<float> weights;
    std::vector<double> degrees;  // including edges from a node to itself

    std::size_t n_nodes() const { return degrees.size(); }
};

// One run of the Leiden algorithm.
class Search {
public:
    Search(const Level& base, const CommunityRun& run, const Executor& executor)
        : base_(base), random_(run.seed), executor_(executor) {
        const double total = std::accumulate(base.degrees.begin(), base.degrees.end(), 0.0);
        // The cost of two nodes sharing a community is this times the product of their degrees.
        cost_ = total > 0 ? run.resolution / total : 0;
    }

    Labels run(std::size_t n_rounds) {
        Labels labels = singletons(base_.n_nodes());
        for (std::size_t round = 0; round < n_rounds; ++round) {
            if (!improve(labels)) break;
        }
        renumber(labels);
        return labels;
    }

private:
    // One pass from the base nodes up through all levels. Returns whether any node moved.
    bool improve(Labels& labels) {
        Level merged_level;
        const Level* level = &base_;
        Labels node_of = singletons(base_.n_nodes());  // the level's node of each base node
        Labels level_labels = labels;
        renumber(level_labels);
        bool any_moved = false;
        while (true) {
            const bool moved = move_nodes(*level, level_labels);
            any_moved = any_moved || moved;
            const std::size_t n_communities = renumber(level_labels);
            for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = level_labels[node_of[i]];
            if (n_communities == level->n_nodes() || (!moved && level != &base_)) return any_moved;
            Labels parts = split(*level, level_labels);
            const std::size_t n_parts = renumber(parts);
            if (n_parts == level->n_nodes()) return any_moved;
            Labels part_labels(n_parts);
            for (std::size_t v = 0; v < parts.size(); ++v) part_labels[parts[v]] = level_labels[v];
            for (Node& node : node_of) node = parts[node];
            merged_level = merged(*level, parts, n_parts);
            level = &merged_level;
            level_labels = std::move(part_labels);
        }
    }

    std::vector<Node> shuffled(std::size_t n) {
        std::vector<Node> order = singletons(n);
        for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random_() % i]);
        return order;
    }

    // Moves nodes to the communities where they gain most, until none gains. A node is visited
    // again after a neighbor has moved away from its community.
    bool move_nodes(const Level& level, Labels& labels) {
        const std::size_t n = level.n_nodes();
        std::vector<double> degrees(n, 0.0);  // of communities
        for (std::size_t v = 0; v < n; ++v) degrees[labels[v]] += level.degrees[v];
        std::vector<Node> empty;
        std::vector<Node> sizes(n, 0);
        for (const Node label : labels) ++sizes[label];
        for (std::size_t c = n; c-- > 0;) {
            if (sizes[c] == 0) empty.push_back(static_cast<Node>(c));
        }
        std::vector<Node> queue = shuffled(n);  // a ring
        std::vector<std::uint8_t> is_queued(n, 1);
        std::size_t first = 0;
        std::size_t n_queued = n;
        Links links(n);
        bool moved = false;
        for (std::size_t step = 0; n_queued > 0 && step < max_visits_per_node * n; ++step) {
            if (step % nodes_per_check == 0) executor_.checkpoint();
            const Node v = queue[first];
            first = first + 1 == n ? 0 : first + 1;
            --n_queued;
            is_queued[v] = 0;
            const Node own = labels[v];
            links.clear();
            for (std::size_t e = level.indptr[v]; e < level.indptr[v + 1]; ++e) {
                links.add(labels[level.indices[e]], level.weights[e]);
            }
            const double degree = level.degrees[v];
            degrees[own] -= degree;
            const auto gain = [&](Node community) {
                return links.weight(community) - cost_ * degree * degrees[community];
            };
            Node best = own;
            double most = gain(own);
            for (const Node community : links.clusters()) {
                const double here = gain(community);
                if (here > most) {
                    most = here;
                    best = community;
                }
            }
            if (most < 0 && sizes[own] > 1) best = empty.back();  // better alone
            degrees[best] += degree;
            if (best == own) continue;
            if (!empty.empty() && best == empty.back()) empty.pop_back();
            if (--sizes[own] == 0) empty.push_back(own);
            ++sizes[best];
            labels[v] = best;
            moved = true;
            for (std::size_t e = level.indptr[v]; e < level.indptr[v + 1]; ++e) {
                const Node other = level.indices[e];
                if (labels[other] == best || is_queued[other] != 0) continue;
                is_queued[other] = 1;
                std::size_t last = first + n_queued++;
                if (last >= n) last -= n;
                queue[last] = other;
            }
        }
        return moved;
    }

    // Splits communities into parts. Each part grows from a single node, so it is well connected.
    Labels split(const Level& level, const Labels& communities) {
        const std::size_t n = level.n_nodes();
        Labels parts = singletons(n);
        std::vector<double> community_degrees(n, 0.0);
        std::vector<double> degrees = level.degrees;  // of parts
        std::vector<double> outward(n, 0.0);  // weight from each part to the rest of its community
        std::vector<std::uint8_t> is_alone(n, 1);
        for (std::size_t v = 0; v < n; ++v) {
            community_degrees[communities[v]] += level.degrees[v];
            for (std::size_t e = level.indptr[v]; e < level.indptr[v + 1]; ++e) {
                if (communities[level.indices[e]] == communities[v]) outward[v] += level.weights[e];
            }
        }
        const auto is_well_connected = [&](Node part, Node community) {
            return outward[part] >=
                   cost_ * degrees[part] * (community_degrees[community] - degrees[part]);
        };
        Links links(n);
        std::size_t step = 0;
        for (const Node v : shuffled(n)) {
            if (step++ % nodes_per_check == 0) executor_.checkpoint();
            const Node community = communities[v];
            if (is_alone[v] == 0 || !is_well_connected(v, community)) continue;
            links.clear();
            for (std::size_t e = level.indptr[v]; e < level.indptr[v + 1]; ++e) {
                const Node other = level.indices[e];
                if (communities[other] == community) links.add(parts[other], level.weights[e]);
            }
            Node best = v;
            double most = 0;
            for (const Node part : links.clusters()) {
                const double gain = links.weight(part) - cost_ * degrees[v] * degrees[part];
                if (gain > most && is_well_connected(part, community)) {
                    most = gain;
                    best = part;
                }
            }
            if (best == v) continue;
            parts[v] = best;
            is_alone[best] = 0;
            degrees[best] += level.degrees[v];
            outward[best] += outward[v] - 2 * links.weight(best);
        }
        return parts;
    }

    // The level whose nodes are the parts.
    Level merged(const Level& level, const Labels& parts, std::size_t n_parts) const {
        Level result;
        result.degrees.assign(n_parts, 0.0);
        std::vector<std::size_t> begins(n_parts + 1, 0);
        for (std::size_t v = 0; v < parts.size(); ++v) {
            result.degrees[parts[v]] += level.degrees[v];
            ++begins[parts[v] + 1];
        }
        std::partial_sum(begins.begin(), begins.end(), begins.begin());
        std::vector<Node> members(parts.size());
        std::vector<std::size_t> next(begins.begin(), begins.end() - 1);
        for (std::size_t v = 0; v < parts.size(); ++v) {
            members[next[parts[v]]++] = static_cast<Node>(v);
        }
        result.indptr.reserve(n_parts + 1);
        result.indptr.push_back(0);
        Links links(n_parts);
        for (Node part = 0; part < n_parts; ++part) {
            if (part % nodes_per_check == 0) executor_.checkpoint();
            links.clear();
            for (std::size_t m = begins[part]; m < begins[part + 1]; ++m) {
                const Node v = members[m];
                for (std::size_t e = level.indptr[v]; e < level.indptr[v + 1]; ++e) {
                    links.add(parts[level.indices[e]], level.weights[e]);
                }
            }
            for (const Node other : links.clusters()) {
                if (other == part) continue;
                result.indices.push_back(other);
                result.weights.push_back(static_cast<float>(links.weight(other)));
            }
            result.indptr.push_back(result.indices.size());
        }
        return result;
    }

    const Level& base_;
    double cost_ = 0;
    std::mt19937_64 random_;
    const Executor& executor_;
};

template <class Index, class Real>
Level base_level(const GraphView<Index, Real>& graph, const Executor& executor) {
    check_graph(graph.indptr, graph.indices, graph.n_nodes, executor);
    check_weights(graph, Weights::up_to_1e30, true, executor);
    if (graph.n_nodes > std::numeric_limits<std::int32_t>::max()) {
        throw std::length_error("graph must have at most 2^31 - 1 nodes, got " +
                                std::to_string(graph.n_nodes) + ".");
    }
    const auto n_edges = static_cast<std::size_t>(graph.indptr[graph.n_nodes]);
    executor.require_memory(n_edges * (sizeof(float) + sizeof(Node)), "the graph");
    Level level;
    level.degrees.assign(graph.n_nodes, 0.0);
    level.indptr.reserve(graph.n_nodes + 1);
    level.indptr.push_back(0);
    level.indices.reserve(n_edges);
    level.weights.reserve(n_edges);
    for (std::size_t v = 0; v < graph.n_nodes; ++v) {
        if (v % nodes_per_check == 0) executor.checkpoint();
        const auto end = static_cast<std::size_t>(graph.indptr[v + 1]);
        for (auto e = static_cast<std::size_t>(graph.indptr[v]); e < end; ++e) {
            const auto weight = static_cast<double>(graph.weights[e]);
            level.degrees[v] += weight;
            const auto target = static_cast<Node>(target_of(graph.indices, e, graph.n_nodes));
            if (target == v || weight == 0) continue;
            level.indices.push_back(target);
            level.weights.push_back(static_cast<float>(weight));
        }
        level.indptr.push_back(level.indices.size());
    }
    return level;
}

}  // namespace

template <class Index, class Real>
std::vector<std::vector<std::int32_t>> communities(const GraphView<Index, Real>& graph,
                                                   std::span<const CommunityRun> runs,
                                                   std::size_t n_rounds, const Executor& executor) {
    for (const CommunityRun& run : runs) {
        if (run.resolution > 0 && std::isfinite(run.resolution)) continue;
        throw std::invalid_argument("resolution must be a positive number, got " +
                                    std::to_string(run.resolution) + ".");
    }
    executor.stage("communities");
    const Level base = base_level(graph, executor);
    std::vector<std::vector<std::int32_t>> results(runs.size());
    executor.run(runs.size(), [&](std::size_t r, int) {
        const Labels labels = Search(base, runs[r], executor).run(n_rounds);
        results[r].assign(labels.begin(), labels.end());
    });
    return results;
}

#define LABELQUORUM_INSTANTIATE(Index, Real)                                                   \
    template std::vector<std::vector<std::int32_t>> communities(const GraphView<Index, Real>&, \
                                                                std::span<const CommunityRun>, \
                                                                std::size_t, const Executor&);
LABELQUORUM_INSTANTIATE(std::int32_t, float)
LABELQUORUM_INSTANTIATE(std::int32_t, double)
LABELQUORUM_INSTANTIATE(std::int64_t, float)
LABELQUORUM_INSTANTIATE(std::int64_t, double)
#undef LABELQUORUM_INSTANTIATE

}  // namespace labelquorum
