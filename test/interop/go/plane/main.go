// A control plane made of go-control-plane's library: a snapshot cache and its server, on loopback.
//
// Each line of standard input is a configuration, {"version": "2", "services": {"orders": ["127.0.0.1:9001"]}}, and replaces the one
// before. Each line of standard output is an event: that it listens, that a version is served, what clients send and how they answer.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	clusters "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpoints "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listeners "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routes "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// everybody is served the same snapshot.
const everybody = "everybody"

type oneGroup struct{}

func (oneGroup) ID(*core.Node) string { return everybody }

type configuration struct {
	Version  string              `json:"version"`
	Services map[string][]string `json:"services"`
}

type event struct {
	Event string `json:"event"`
	// Of what happened, as far as it applies.
	Port    int    `json:"port,omitempty"`
	Version string `json:"version,omitempty"`
	Type    string `json:"type,omitempty"`
	Delta   bool   `json:"delta,omitempty"`
	Nonce   string `json:"nonce,omitempty"`
	// Names that a request adds, or all of them in state of the world; of a response, what it carries.
	Names []string `json:"names,omitempty"`
	Error string   `json:"error,omitempty"`
}

var output sync.Mutex

func tell(it event) {
	output.Lock()
	defer output.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(it)
}

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	flag.Parse()
	// Not in ADS mode: that answers only those who ask for everything there is, and a mesh client asks for what it uses.
	snapshots := cache.NewSnapshotCache(false, oneGroup{}, nil)
	plane := server.NewServer(context.Background(), snapshots, callbacks())
	grpcServer := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, plane)
	listeners.RegisterListenerDiscoveryServiceServer(grpcServer, plane)
	routes.RegisterRouteDiscoveryServiceServer(grpcServer, plane)
	clusters.RegisterClusterDiscoveryServiceServer(grpcServer, plane)
	endpoints.RegisterEndpointDiscoveryServiceServer(grpcServer, plane)
	socket, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	check(err)
	go func() { check(grpcServer.Serve(socket)) }()
	tell(event{Event: "listening", Port: socket.Addr().(*net.TCPAddr).Port})

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var config configuration
		check(json.Unmarshal(lines.Bytes(), &config))
		snapshot, err := cache.NewSnapshot(config.Version, resources(config))
		check(err)
		// Without snapshot.Consistent(): it does not see which routes an API listener names, and takes them for too many.
		check(snapshots.SetSnapshot(context.Background(), everybody, snapshot))
		tell(event{Event: "served", Version: config.Version})
	}
	// Whoever started us is gone.
}

func callbacks() server.CallbackFuncs {
	return server.CallbackFuncs{
		StreamRequestFunc: func(_ int64, it *discovery.DiscoveryRequest) error {
			tell(event{Event: "request", Type: it.GetTypeUrl(), Version: it.GetVersionInfo(), Nonce: it.GetResponseNonce(),
				Names: it.GetResourceNames(), Error: it.GetErrorDetail().GetMessage()})
			return nil
		},
		StreamResponseFunc: func(_ context.Context, _ int64, _ *discovery.DiscoveryRequest, it *discovery.DiscoveryResponse) {
			tell(event{Event: "response", Type: it.GetTypeUrl(), Version: it.GetVersionInfo(), Nonce: it.GetNonce(),
				Names: make([]string, len(it.GetResources()))})
		},
		StreamDeltaRequestFunc: func(_ int64, it *discovery.DeltaDiscoveryRequest) error {
			tell(event{Event: "request", Delta: true, Type: it.GetTypeUrl(), Nonce: it.GetResponseNonce(),
				Names: it.GetResourceNamesSubscribe(), Error: it.GetErrorDetail().GetMessage()})
			return nil
		},
		StreamDeltaResponseFunc: func(_ int64, _ *discovery.DeltaDiscoveryRequest, it *discovery.DeltaDiscoveryResponse) {
			names := []string{}
			for _, one := range it.GetResources() {
				names = append(names, one.GetName())
			}
			tell(event{Event: "response", Delta: true, Type: it.GetTypeUrl(), Nonce: it.GetNonce(), Names: names})
		},
	}
}

func resources(config configuration) map[resource.Type][]types.Resource {
	all := map[resource.Type][]types.Resource{}
	for name, backends := range config.Services {
		all[resource.ListenerType] = append(all[resource.ListenerType], makeListener(name))
		all[resource.RouteType] = append(all[resource.RouteType], makeRoutes(name))
		all[resource.ClusterType] = append(all[resource.ClusterType], makeCluster(name))
		all[resource.EndpointType] = append(all[resource.EndpointType], makeEndpoints(name, backends))
	}
	return all
}

func ads() *core.ConfigSource {
	return &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
	}
}

func makeListener(name string) *listener.Listener {
	noRouterConfig, err := anypb.New(&router.Router{})
	check(err)
	manager, err := anypb.New(&hcm.HttpConnectionManager{
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{
			Rds: &hcm.Rds{ConfigSource: ads(), RouteConfigName: name + "-routes"},
		},
		HttpFilters: []*hcm.HttpFilter{{
			Name:       "router",
			ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: noRouterConfig},
		}},
	})
	check(err)
	return &listener.Listener{Name: name, ApiListener: &listener.ApiListener{ApiListener: manager}}
}

func makeRoutes(name string) *route.RouteConfiguration {
	toCluster := &route.Route{
		Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
		Action: &route.Route_Route{Route: &route.RouteAction{
			ClusterSpecifier: &route.RouteAction_Cluster{Cluster: name + "-cluster"},
		}},
	}
	return &route.RouteConfiguration{
		Name:         name + "-routes",
		VirtualHosts: []*route.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*route.Route{toCluster}}},
	}
}

func makeCluster(name string) *cluster.Cluster {
	return &cluster.Cluster{
		Name:                 name + "-cluster",
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: ads()},
	}
}

func makeEndpoints(name string, backends []string) *endpoint.ClusterLoadAssignment {
	locality := &endpoint.LocalityLbEndpoints{Locality: &core.Locality{Region: "local"}}
	locality.LoadBalancingWeight = wrapperspb.UInt32(1)
	for _, backend := range backends {
		host, port, err := net.SplitHostPort(backend)
		check(err)
		number, err := strconv.ParseUint(port, 10, 16)
		check(err)
		socket := &core.SocketAddress{Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(number)}}
		address := &core.Address{Address: &core.Address_SocketAddress{SocketAddress: socket}}
		locality.LbEndpoints = append(locality.LbEndpoints, &endpoint.LbEndpoint{
			HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: address}},
		})
	}
	return &endpoint.ClusterLoadAssignment{
		ClusterName: name + "-cluster",
		Endpoints:   []*endpoint.LocalityLbEndpoints{locality},
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
