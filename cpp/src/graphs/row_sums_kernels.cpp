// The loops behind row_sums.hpp, compiled once per instruction set (CMakeLists.txt), which defines
// LABELQUORUM_KERNELS_NAMESPACE. They use no template of the standard library: the linker could
// take one compiled here with wide instructions for the one used everywhere else.
#include "row_sums.hpp"

#if defined(__GNUC__) || defined(__clang__)
#define LABELQUORUM_PREFETCH(address) __builtin_prefetch(address)
#else
#define LABELQUORUM_PREFETCH(address) static_cast<void>(address)
#endif

namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE {
namespace {

constexpr std::size_t edges_ahead = 32;  // rows are prefetched this many edges ahead

// Sums `Block` columns of the rows.
template <std::size_t Block, class Index, class Real>
void sum_block(const GraphView<Index, Real>& graph, std::size_t begin, std::size_t end, Real factor,
               const Real* rows, std::size_t width, Real* out) {
    const Index* indptr = graph.indptr;
    const Index* indices = graph.indices;
    const Real* weights = graph.weights;
    const auto n_edges = static_cast<std::size_t>(indptr[graph.n_nodes]);
    for (std::size_t node = begin; node < end; ++node) {
        const auto row_end = static_cast<std::size_t>(indptr[node + 1]);
        Real sums[Block] = {};
        for (auto e = static_cast<std::size_t>(indptr[node]); e < row_end; ++e) {
            if (e + edges_ahead < n_edges) {
                const Real* ahead =
                    rows + static_cast<std::size_t>(indices[e + edges_ahead]) * width;
                LABELQUORUM_PREFETCH(ahead);
                LABELQUORUM_PREFETCH(ahead + (Block - 1));
            }
            const Real weight = weights[e];
            const Real* row = rows + static_cast<std::size_t>(indices[e]) * width;
            for (std::size_t c = 0; c < Block; ++c) sums[c] += weight * row[c];
        }
        for (std::size_t c = 0; c < Block; ++c) out[c] = factor * sums[c];
        out += width;
    }
}

template <class Index, class Real>
void sum(const GraphView<Index, Real>& graph, std::size_t begin, std::size_t end, Real factor,
         const Real* rows, std::size_t width, Real* out) {
    if (width > 16) {
        // Node by node, so that its edges stay in the cache for all blocks of columns.
        for (std::size_t node = begin; node < end; ++node, out += width) {
            std::size_t c = 0;
            for (; c + 16 <= width; c += 16) {
                sum_block<16>(graph, node, node + 1, factor, rows + c, width, out + c);
            }
            for (; c < width; c += 4) {
                sum_block<4>(graph, node, node + 1, factor, rows + c, width, out + c);
            }
        }
    } else if (width == 16) {
        sum_block<16>(graph, begin, end, factor, rows, width, out);
    } else if (width == 12) {
        sum_block<12>(graph, begin, end, factor, rows, width, out);
    } else if (width == 8) {
        sum_block<8>(graph, begin, end, factor, rows, width, out);
    } else {
        sum_block<4>(graph, begin, end, factor, rows, width, out);
    }
}

template <class Real>
double difference(const Real* a, const Real* b, std::size_t n) {
    double sums[4] = {};
    for (std::size_t i = 0; i < n; i += 4) {
        for (std::size_t k = 0; k < 4; ++k) {
            const Real gap = a[i + k] - b[i + k];
            sums[k] += static_cast<double>(gap < 0 ? -gap : gap);
        }
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace

extern const RowSums<std::int32_t, float> sums32f;
extern const RowSums<std::int32_t, double> sums32d;
extern const RowSums<std::int64_t, float> sums64f;
extern const RowSums<std::int64_t, double> sums64d;
const RowSums<std::int32_t, float> sums32f{sum, difference};
const RowSums<std::int32_t, double> sums32d{sum, difference};
const RowSums<std::int64_t, float> sums64f{sum, difference};
const RowSums<std::int64_t, double> sums64d{sum, difference};

}  // namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE
