#include "labelquorum/communities.hpp"

#include <array>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::communities;
using labelquorum::CommunityRun;
using labelquorum::Executor;
using labelquorum::GraphView;

namespace {

struct Cliques {
    std::vector<std::int32_t> indptr{0};
    std::vector<std::int32_t> indices;
    std::vector<float> weights;

    // n groups of `size` nodes. All nodes of a group are linked, and each to its peer in the next
    // one.
    Cliques(std::int32_t n, std::int32_t size) {
        const std::int32_t n_nodes = n * size;
        for (std::int32_t v = 0; v < n_nodes; ++v) {
            const std::int32_t group = v / size;
            for (std::int32_t w = group * size; w < (group + 1) * size; ++w) add(w, 1);
            add((v + size) % n_nodes, 0.1F);
            add((v + n_nodes - size) % n_nodes, 0.1F);
            indptr.push_back(static_cast<std::int32_t>(indices.size()));
        }
    }
    void add(std::int32_t target, float weight) {
        indices.push_back(target);
        weights.push_back(weight);
    }
    GraphView<std::int32_t, float> view() const {
        return {indptr.data(), indices.data(), weights.data(), indptr.size() - 1};
    }
};

TEST(cliques_are_found_whatever_the_threads) {
    const Cliques graph(30, 12);
    std::vector<CommunityRun> runs;
    for (std::uint64_t seed = 0; seed < 8; ++seed) runs.push_back({1.0, seed});
    const auto one = communities(graph.view(), std::span<const CommunityRun>(runs), 3, Executor(1));
    const auto four =
        communities(graph.view(), std::span<const CommunityRun>(runs), 3, Executor(4));
    CHECK(one == four);
    for (const auto& labels : one) {
        for (std::size_t v = 0; v < labels.size(); ++v) {
            CHECK(labels[v] == static_cast<std::int32_t>(v / 12));
        }
    }
}

TEST(a_graph_that_is_not_valid_is_refused) {
    Cliques graph(3, 4);
    const std::array<CommunityRun, 1> runs{{{1.0, 0}}};
    const auto find = [&] {
        return communities(graph.view(), std::span<const CommunityRun>(runs), 1, Executor(1));
    };
    graph.weights[5] = -1;
    CHECK_THROWS(std::invalid_argument, find());
    graph.weights[5] = 1;
    graph.indices[7] = 99;
    CHECK_THROWS(std::invalid_argument, find());
}

TEST(a_resolution_has_to_be_positive) {
    const Cliques graph(3, 4);
    const std::array<CommunityRun, 1> runs{{{0.0, 0}}};
    CHECK_THROWS(std::invalid_argument,
                 communities(graph.view(), std::span<const CommunityRun>(runs), 1, Executor(1)));
}

}  // namespace
